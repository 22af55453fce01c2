"""An exception as text."""

from sdd.model.raised import Raised


def _raised(exc: Exception) -> Raised:
    try:
        raise exc
    except ValueError as caught:
        return Raised.of(caught)


def test_it_says_what_was_raised_where_and_how_that_was_reached() -> None:
    found = _raised(ValueError("no"))
    assert (found.what, found.kind) == ("ValueError('no')", "ValueError")
    name, line = found.place.split(":")
    assert name == "test_raised.py"
    assert f"line {line}, in _raised" in found.trace


def test_what_was_never_raised_has_no_place() -> None:
    assert Raised.of(ValueError("no")).place == "nowhere"
