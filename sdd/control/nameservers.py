"""Which name servers people may give to sandboxes and networks.

In: servers of a request, and the transports that this node can use. Out: nothing, or what is wrong
with one of them.
"""

from collections.abc import Collection, Iterable

from sdd import errors
from sdd.model import nameserver
from sdd.model.nameserver import Transport


def check(servers: Iterable[nameserver.Server], usable: Collection[Transport]) -> None:
    """Raises Invalid: `SDD-DNS-QUIC` for a transport whose library is not installed, `-LOOP`."""
    for each in servers:
        if nameserver.whole(each).is_ours:
            raise errors.Invalid(
                f"{each} is the server that every sandbox has: it would ask itself",
                hint="give the server that it is to ask, or none",
                code="SDD-DNS-LOOP",
            )
        transport = nameserver.whole(each).transport
        if transport not in usable:
            raise errors.Invalid(
                f"{each} cannot be asked: the library for {transport.upper()} is not installed",
                hint="install the extra: pip install 'sdd[quic]', and restart sdd;"
                " or use tls:// or https://",
                code="SDD-DNS-QUIC",
            )
