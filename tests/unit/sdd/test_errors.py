from sdd import errors


def test_what_is_short_is_quoted_whole() -> None:
    assert errors.quoted("web") == "'web'"
    assert errors.shortened("/v1/x") == "/v1/x"
    assert errors.quoted("x" * errors.QUOTED) == repr("x" * errors.QUOTED)


def test_what_is_long_is_cut_and_its_length_told() -> None:
    assert errors.quoted("x" * 5000) == f"'{'x' * 80}'… (5000 characters)"
    assert errors.shortened("x" * 5000) == f"{'x' * 80}… (5000 characters)"


def test_what_cannot_be_printed_is_escaped() -> None:
    assert errors.quoted("a\x1b[2J\ud800").isprintable()
