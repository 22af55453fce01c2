"""What can be checked of the libnftables door without a namespace: parsing and its errors."""

import pytest

from sdd import errors
from sdd.linux import netlink, nft


class Silent(netlink.Connection):
    """A connection whose kernel acknowledges everything and tells nothing."""

    def __init__(self) -> None:
        """No socket."""

    def request(self, messages: object) -> tuple[netlink.Result, ...]:
        assert messages
        return (netlink.Result(),)


def test_a_kernel_that_tells_no_generation_is_refused() -> None:
    with pytest.raises(errors.KernelRefused, match="generation"):
        nft.generation(Silent())


def test_a_missing_library_names_the_debian_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nft, "LIBRARY", "libnftables.so.none")
    nft._library.cache_clear()
    try:
        with pytest.raises(errors.Unavailable) as caught:
            nft.Nft()
    finally:
        nft._library.cache_clear()
    assert nft.PACKAGE in caught.value.hint
