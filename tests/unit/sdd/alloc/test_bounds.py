import pytest

from sdd import errors
from sdd.alloc import bounds


@pytest.mark.parametrize(
    ("field", "most"),
    [("labels", 128), ("label_add", 128), ("dns", 32), ("extra_hosts", 256), ("whatever", 64)],
)
def test_a_count_may_be_the_bound_and_no_more(field: str, most: int) -> None:
    bounds.check_count(field, most)
    with pytest.raises(errors.Invalid) as caught:
        bounds.check_count(field, most + 1, "service web")
    assert caught.value.code == "SDD-BOUND"
    assert f'service web: "{field}" would have {most + 1} entries' in caught.value.sentence


def test_texts_and_labels_may_be_the_bound_and_no_more() -> None:
    bounds.check_text("path", "x" * bounds.TEXT)
    bounds.check_label("k" * bounds.LABEL_KEY, "v" * bounds.LABEL_VALUE)
    bounds.check_label("com.example/team", "")
    with pytest.raises(errors.Invalid, match='"path" has 4096 characters'):
        bounds.check_text("path", "x" * (bounds.TEXT + 1))


@pytest.mark.parametrize(
    ("key", "value"),
    [("k" * 318, ""), ("k", "v" * 1025), ("", ""), ("a\tb", ""), ("a\x1b", ""), ("a b", "")],
)
def test_what_is_no_label_is_quoted_briefly(key: str, value: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        bounds.check_label(key, value)
    assert caught.value.code == "SDD-BOUND"
    assert caught.value.sentence.isprintable()
    assert len(caught.value.sentence) < 200
