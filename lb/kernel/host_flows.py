"""What the host's conntrack knows of one connection: who answers it, and whom that one sees."""

from lb.kernel import conntrack
from lb.passage import Client, Follow, Passed
from sdd.linux import namespaces, netlink
from sdd.model.network import IPAddress
from sdd.model.port import Protocol

_NUMBERS = {
    Protocol.TCP: conntrack.TCP,
    Protocol.UDP: conntrack.UDP,
    Protocol.SCTP: conntrack.SCTP,
}


def through(doors: namespaces.Namespaces) -> Follow:
    """A look-up in the namespace that is the host's for `doors`."""

    async def follow(to: IPAddress, client: Client, protocol: Protocol) -> Passed | None:
        return await doors.run("", lambda: _passed(to, client, _NUMBERS[protocol]))

    return follow


def _passed(to: IPAddress, client: Client, protocol: int) -> Passed | None:
    with netlink.Connection(netlink.NETFILTER) as connection:
        return conntrack.passed(connection, to, protocol, client)
