"""What cannot be made of one object is a value that names it."""

from dataclasses import replace

from sdd import contained
from sdd.model.address import Zoned
from sdd.model.progress import Failure


def test_what_can_be_made_is_made() -> None:
    assert contained.attempt(lambda: 7, "id", "x is not there") == 7


def test_whatever_is_raised_is_a_failure_that_says_where() -> None:
    found = contained.attempt(lambda: {"a": 7}["b"], "id", "x is not there")
    assert isinstance(found, Failure)
    assert (found.subject, found.code) == ("id", "SDD-OBJECT-DATA")
    assert found.sentence.startswith("x is not there: what is stored of it cannot be realised: Key")
    assert "in test_contained.py:" in found.sentence
    assert found.hint
    assert found.raised is not None
    assert "Traceback" in found.raised.trace
    assert replace(found, raised=None) == found  # the traceback makes no other failure of it


def test_an_address_with_a_zone_is_told_in_plain_words() -> None:
    def zoned() -> int:
        raise Zoned("fe80::1%eth0")

    found = contained.attempt(zoned, "id", "x is not there")
    assert isinstance(found, Failure)
    assert found.sentence.endswith("names a link of one host; leave it out: fe80::1")
    assert "Zoned" not in found.sentence
    assert found.raised is None  # it was foreseen
