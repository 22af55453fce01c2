"""Whether an address is one of the namespace's own, by asking the kernel for it."""

import socket

from sdd.model.network import IPAddress


def has(address: IPAddress) -> bool:
    """Whether the calling thread's namespace has the address. Blocking, opens one socket."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 - IP
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True
