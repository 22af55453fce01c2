import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdd import strict_json

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
NUMBERS = st.integers(-strict_json.LARGEST, strict_json.LARGEST) | st.floats(
    allow_nan=False, allow_infinity=False
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_every_value_is_read_as_it_was_written(value: Any) -> None:
    assert strict_json.load(json.dumps(value).encode()) == value
    assert strict_json.load(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=64))
def test_any_bytes_are_a_value_or_broken(data: bytes) -> None:
    try:
        strict_json.load(data)
    except strict_json.Broken as broken:
        assert str(broken).isprintable()  # noqa: PT017 - most bytes are broken, some are not


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 1}', 'the key "a" stands there twice'),
        ('[{"a": {"b": 1, "b": 2}}]', 'the key "b" stands there twice'),
        ('{"a\\u0000": 1}', "a NUL character"),
        ('["\\udc00"]', "half of a surrogate pair"),
        ("9223372036854775808", "is too large"),
        ("-1e400", "is too large"),
        ("NaN", "NaN is no JSON value"),
        ("\ufeff1", "a byte order mark"),
        ("[1,]", "a value is missing"),
        ("", "a value is missing"),
    ],
)
def test_the_reason_is_in_our_words(text: str, words: str) -> None:
    with pytest.raises(strict_json.Broken) as caught:
        strict_json.load(text.encode())
    assert words in str(caught.value)


def test_what_is_shown_is_short_and_printable() -> None:
    assert strict_json.shown({"a": "\x1b\ud800"}) == r'{"a": "\u001b\ud800"}'
    assert len(strict_json.shown(["x" * 10**6])) < 120
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert strict_json.shown(deep) == "something nested too deeply"
