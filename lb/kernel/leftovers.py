"""What IPVS left in a sandbox that nftables balances now: `lb-backend` was changed.

Its services would do no harm without their marks, but its live connections would go on past our
counters, and its routes would make an address local that a sandbox may get one day.
"""

from pathlib import Path

from lb.kernel import ipvs_session, local_routes
from sdd.linux import netlink

LISTED = Path("/proc/thread-self/net/ip_vs")  # there while the module is loaded


def family() -> int | None:
    """The number of IPVS's generic netlink family, without loading the module for it."""
    found = ipvs_session.available() if LISTED.exists() else None
    return None if found is None else found[0]


def are_there(of: int) -> bool:
    """Whether services or routes of ours are in this thread's namespace."""
    with netlink.Connection(netlink.ROUTE) as connection:
        if local_routes.read(connection):
            return True
    with ipvs_session.Session(of) as session:
        return bool(session.listed())


def clear(of: int) -> None:
    """They are gone; clients of live connections hear a reset from whoever gets the next packet."""
    with netlink.Connection(netlink.ROUTE) as connection:
        local_routes.remove(connection, tuple(local_routes.read(connection)))
    with ipvs_session.Session(of) as session:
        session.change(session.entries(session.listed()), {})
