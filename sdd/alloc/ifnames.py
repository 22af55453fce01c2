"""The link name an endpoint gets inside its sandbox: eth0, eth1, …: the first that is free."""

from collections.abc import Container
from itertools import count

PREFIX = "eth"
LOOPBACK = "lo"  # every namespace has it


def first_free(taken: Container[str], prefix: str = PREFIX) -> str:
    """`prefix` with the lowest number that no link in the namespace has."""
    return next(name for n in count() if (name := f"{prefix}{n}") not in taken)
