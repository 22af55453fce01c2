"""Which name servers people may give to sandboxes and networks.

In: servers of a request. Out: nothing, or what is wrong with one of them.
"""

from collections.abc import Iterable

from sdd import errors
from sdd.model import nameserver
from sdd.model.nameserver import Transport


def check(servers: Iterable[nameserver.Server]) -> None:
    """Raises Invalid `SDD-DNS-SERVER` for a transport that needs what the worker may not have.

    The library for QUIC is loaded when the worker starts, and only for servers of the daemon.
    """
    for each in servers:
        if nameserver.whole(each).transport is Transport.QUIC:
            raise errors.Invalid(
                f"{each} cannot be asked from inside a sandbox: QUIC is for the daemon's servers",
                hint='use tls:// or https:// here, or name it in "dns" of daemon.json',
                code="SDD-DNS-SERVER",
            )
