"""What must hold of any stored state, whoever made it in whatever order."""

from sdd.control import keys
from sdd.model import port
from sdd.state import ClusterState
from sdd.store import codec
from tests.scenario.node import NODE, Node, addresses_of


def claims(now: ClusterState) -> set[str]:
    """The keys that ought to exist for `now`, cursors and guard aside."""
    tables = (now.networks, now.sandboxes, now.endpoints, now.services, now.members, now.verdicts)
    wanted = {codec.key(value) for table in tables for value in table.values()}
    wanted |= {codec.key(each) for each in now.records.values()}
    wanted |= {codec.key(each) for each in now.templates.values()}
    wanted |= {
        keys.name("network", each.name)
        for table in (now.networks, now.templates)
        for each in table.values()
    }
    wanted |= {keys.name("sandbox", each.name) for each in now.sandboxes.values()}
    wanted |= {keys.name("service", each.name) for each in now.services.values()}
    wanted |= {keys.number(each.number) for each in now.services.values()}
    wanted |= {f"{keys.ADDRESSES}{net}/{ip}" for net, ip in addresses_of(now)}
    wanted |= {
        keys.port(NODE, each.protocol, each.published)
        for table in (now.sandboxes, now.services)
        for holder in table.values()
        for each in holder.ports
        if each.published
    }
    return wanted


def check_nothing_twice(now: ClusterState) -> None:
    """No address, link name, membership or subnet is held by two; nothing hangs in the air."""
    held = list(addresses_of(now))
    assert len(held) == len(set(held))
    for end in now.endpoints.values():
        net = now.networks[end.network]
        assert all(net.pool_of(ip) for ip in end.hosts)
        assert not {pool.gateway for pool in net.pools} & set(end.hosts)
        assert end.sandbox in now.sandboxes
    for of, ends in now.endpoints_by_sandbox.items():
        assert len({end.ifname for end in ends}) == len(ends), of
        assert len({end.network for end in ends}) == len(ends), of
    for svc in now.services.values():
        assert svc.network in now.networks
    for member in now.members.values():
        assert now.endpoints[member.endpoint].network == now.services[member.service].network
    assert set(now.verdicts) <= set(now.members)
    assert {each.network for each in now.records.values()} <= set(now.networks)
    held_ports = [
        (holder.id, each) for holder in now.publishers for each in holder.ports if each.published
    ]
    for at, (holder, each) in enumerate(held_ports):
        for owner, other in held_ports[:at]:
            same = (each.protocol, each.published) == (other.protocol, other.published)
            is_more = owner == holder and each.is_beside(other)  # 127.0.0.1 was asked for as well
            assert not (same and port.overlap(each.address, other.address)) or is_more
    subnets = [pool.subnet for net in now.networks.values() for pool in net.pools]
    for at, one in enumerate(subnets):
        assert not any(one.version == two.version and one.overlaps(two) for two in subnets[:at])


def check_ingress(now: ClusterState) -> None:
    """What ports that every node opens need is there while there are such ports, and no longer."""
    served = [
        svc
        for svc in now.services.values()
        if any(each.is_ingress for each in svc.ports) or svc.ingress_leaves_at
    ]
    assert {svc.id for svc in served} == {svc.id for svc in now.ingress_services}
    closed = sorted(net.name for net in now.networks.values() if net.is_closed)
    assert closed == (["gwbridge", "ingress"] if served else [])
    nodes = [box.node for box in now.ingress_sandboxes]
    assert len(nodes) == len(set(nodes))
    assert bool(nodes) == bool(served)
    for box in now.ingress_sandboxes:
        ends = now.endpoints_by_sandbox[box.id]
        assert [now.networks[end.network].name for end in ends] == ["gwbridge", "ingress"]
    members = {
        member.sandbox for svc in served for member in now.members_by_service.get(svc.id, ())
    }
    found = {box for box in now.sandboxes if now.on_ingress(box)}
    assert found == members | {box.id for box in now.ingress_sandboxes}


async def check(one: Node) -> None:
    """All laws, for the newest state, and claims agree with objects."""
    await one.feed.reached((await one.store.range("")).revision)
    check_nothing_twice(one.state)
    check_ingress(one.state)
    stored = {
        key for key in await one.keys() if not key.startswith(keys.CURSORS) and key != keys.POOLS
    }
    assert stored == claims(one.state)
