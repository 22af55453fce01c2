"""States for the tests of names at sdd's edge: ids of real length, readable names."""

import hashlib
from ipaddress import IPv4Network, ip_address, ip_interface

from sdd.model import endpoint, ids, network, sandbox
from sdd.state import ClusterState, Object, Put

NODE = ids.NodeId("here")
EMPTY = sandbox.DnsSettings()


def identity(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def net(
    name: str,
    number: int = 1,
    *,
    internal: bool = False,
    predefined: bool = False,
    dns: tuple[str, ...] = (),
    search: tuple[str, ...] = (),
) -> network.Network:
    return network.Network(
        id=ids.NetworkId(identity(name)),
        name=name,
        pools=(network.Pool(subnet=IPv4Network(f"10.44.{number}.0/24")),),
        internal=internal,
        predefined=predefined,
        dns=tuple(map(ip_address, dns)),
        dns_search=search,
    )


def box(
    name: str,
    netns: str = "/nowhere",
    *,
    servers: tuple[str, ...] = (),
    search: tuple[str, ...] = (),
    options: tuple[str, ...] = (),
    origin: sandbox.Origin = sandbox.Origin.NAMED,
    inode: int = 0,
    extra: tuple[tuple[str, str], ...] = (),
    hostname: str = "",
) -> sandbox.Sandbox:
    return sandbox.Sandbox(
        id=ids.SandboxId(identity(name)),
        name=name,
        node=NODE,
        origin=origin,
        netns=netns,
        netns_inode=inode,
        hostname=hostname,
        dns=sandbox.DnsSettings(
            servers=tuple(map(ip_address, servers)), search=search, options=options
        ),
        extra_hosts=tuple(
            sandbox.ExtraHost(name=each, address=ip_address(address)) for each, address in extra
        ),
    )


def plug(name: str, on: str, *addresses: str, aliases: tuple[str, ...] = ()) -> endpoint.Endpoint:
    return endpoint.Endpoint(
        id=ids.EndpointId(identity(f"{name}-{on}")),
        network=ids.NetworkId(identity(on)),
        sandbox=ids.SandboxId(identity(name)),
        node=NODE,
        addresses=tuple(map(ip_interface, addresses)),
        mac="02:00:00:00:00:01",
        ifname="eth0",
        aliases=aliases,
    )


def state(*values: Object, revision: int = 1) -> ClusterState:
    return ClusterState().apply(ids.Revision(revision), map(Put, values))
