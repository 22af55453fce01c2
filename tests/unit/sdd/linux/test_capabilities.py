"""What /proc/self/status says about capabilities → nothing, or the names of what is missing."""

import pytest

from sdd import errors
from sdd.linux import capabilities

ALL = "Name:\tsdd\nCapPrm:\t0000000000000000\nCapEff:\t000001ffffffffff\n"


def with_effective(mask: int) -> str:
    return f"Name:\tsdd\nCapPrm:\t000001ffffffffff\nCapEff:\t{mask:016x}\n"


def test_what_has_both_may_go_on() -> None:
    capabilities.demand(ALL)
    capabilities.demand(with_effective(1 << 12 | 1 << 21))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (with_effective(0), "lacks CAP_NET_ADMIN and CAP_SYS_ADMIN"),
        (with_effective(1 << 12), "lacks CAP_SYS_ADMIN"),
        (with_effective(1 << 21), "lacks CAP_NET_ADMIN"),
        ("", "lacks CAP_NET_ADMIN and CAP_SYS_ADMIN"),
    ],
)
def test_what_lacks_one_is_told_which(status: str, words: str) -> None:
    with pytest.raises(errors.Denied, match=words) as caught:
        capabilities.demand(status)
    assert (caught.value.code, caught.value.exit_code) == ("SDD-PRIVILEGE", 77)


def test_what_would_help_is_told_and_not_demanded() -> None:
    status = with_effective(1 << 12 | 1 << 21)
    capabilities.demand(status)
    assert capabilities.lacking(status, is_deaf=False) == ("CAP_NET_BROADCAST",)
    assert capabilities.lacking(ALL, is_deaf=False) == ()
    # In a container it may have the capability, but not where the network belongs to.
    assert capabilities.lacking(ALL, is_deaf=True) == ("CAP_NET_BROADCAST",)
