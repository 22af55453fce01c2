"""Small states by hand, for the tests of the networks part."""

import hashlib
from collections.abc import Mapping
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network

from sdd import state
from sdd.model import child, endpoint, ids, network, sandbox

NODE = ids.NodeId("here")


def identity(of: str) -> str:
    return hashlib.sha256(of.encode()).hexdigest()


def net(
    name: str,
    *subnets: str,
    internal: bool = False,
    options: Mapping[str, str] | None = None,
    driver: network.Driver = network.Driver.BRIDGE,
) -> network.Network:
    """The gateway of each subnet is its first address; Docker's prefix is put before the keys.

    With the option host-access the host gets the last but one.
    """
    prefix = "com.docker.network." if driver is network.Driver.BRIDGE else ""
    kept = [child.HOST_ACCESS] if child.HOST_ACCESS in (options or {}) else []
    pools = tuple(
        network.Pool(subnet=each, gateway=each[1], aux=dict.fromkeys(kept, each[-2]))
        for each in map(ip_network, subnets)
    )
    return network.Network(
        id=ids.NetworkId(identity(name)),
        name=name,
        pools=pools,
        internal=internal,
        ipv6=any(pool.subnet.version == 6 for pool in pools),
        driver=driver,
        options={f"{prefix}{key}": text for key, text in (options or {}).items()},
    )


def box(name: str, path: str, *, inode: int = 0, node: ids.NodeId = NODE) -> sandbox.Sandbox:
    """An inode makes it an adopted one."""
    return sandbox.Sandbox(
        id=ids.SandboxId(identity(f"sandbox {name}")),
        name=name,
        node=node,
        origin=sandbox.Origin.ADOPTED if inode else sandbox.Origin.NAMED,
        netns=path,
        netns_inode=inode,
    )


def end(
    on: network.Network,
    of: sandbox.Sandbox,
    *addresses: str,
    ifname: str = "eth0",
    gw_priority: int = 0,
    options: Mapping[str, str] | None = None,
) -> endpoint.Endpoint:
    """The addresses get the prefix lengths of their pools."""
    mac = hashlib.sha256(f"{on.id}{of.id}".encode()).digest()[:5].hex(":")
    return endpoint.Endpoint(
        id=ids.EndpointId(identity(f"{on.name} {of.name}")),
        network=on.id,
        sandbox=of.id,
        node=of.node,
        addresses=tuple(_interface(on, each) for each in addresses),
        mac=f"02:{mac}",
        ifname=ifname,
        gw_priority=gw_priority,
        options=options or {},
    )


def _interface(on: network.Network, address: str) -> IPv4Interface | IPv6Interface:
    parsed = ip_address(address)
    pool = on.pool_of(parsed)
    assert pool is not None
    return ip_interface((parsed.packed, pool.subnet.prefixlen))


def at(revision: int, *objects: state.Object) -> state.ClusterState:
    return state.EMPTY.apply(ids.Revision(revision), [state.Put(each) for each in objects])
