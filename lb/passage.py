"""What becomes of one connection to an address of the host: values, as its conntrack has them."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from sdd.model.network import IPAddress
from sdd.model.port import Protocol


class Passed(NamedTuple):
    """`backend` answers it and sees `client`, whoever began it."""

    backend: IPAddress
    client: IPAddress


Client = tuple[IPAddress, int]  # its own address and port
# To an address, from a client; None when it is not known (any more).
Follow = Callable[[IPAddress, Client, Protocol], Awaitable[Passed | None]]
