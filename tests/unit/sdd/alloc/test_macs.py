"""Link addresses."""

from ipaddress import ip_interface

import pytest

from sdd import errors
from sdd.alloc import macs

BYTES = b"\x01\x02\x03\x04\x05"


def test_the_ipv4_address_makes_it() -> None:
    both = (ip_interface("fd00::2/64"), ip_interface("172.17.0.2/16"))
    assert macs.of(both, BYTES) == "02:42:ac:11:00:02"


def test_without_ipv4_it_is_random_and_locally_administered() -> None:
    assert macs.of((ip_interface("fd00::2/64"),), BYTES) == "02:01:02:03:04:05"
    with pytest.raises(ValueError, match="5 random bytes"):
        macs.of((), b"")


@pytest.mark.parametrize("text", ["02:00:00:AB:CD:EF", "02-00-00-ab-cd-ef", " 02:00:00:ab:cd:ef "])
def test_usual_spellings_are_the_same(text: str) -> None:
    assert macs.checked(text) == "02:00:00:ab:cd:ef"


@pytest.mark.parametrize(
    "text", ["", "02:00:00:ab:cd", "02:00:00:ab:cd:gg", "01:00:5e:00:00:01", "00:00:00:00:00:00"]
)
def test_what_no_interface_can_have_is_refused(text: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        macs.checked(text)
    assert caught.value.code == "SDD-NET-MAC"
