"""What every kernel of the networks part does; run on the one in memory and on the running one."""

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Protocol

import pytest

from netns import contract, firewall, steps, world
from netns.world import Kind
from tests.netns_states import identity

NET, ONE, TWO = identity("network"), identity("endpoint one"), identity("endpoint two")


class Rig(Protocol):
    """A kernel and the hands of somebody else in it."""

    kernel: contract.Kernel

    def named(self, name: str) -> str:
        """The path that a named namespace has here."""
        ...

    async def adopt(self, name: str) -> tuple[str, int]:
        """Somebody makes a namespace: path and inode."""
        ...

    async def end(self, path: str) -> None:
        """Somebody removes the namespace `path`."""
        ...

    async def add_foreign(self, path: str, name: str) -> None:
        """Somebody makes a bridge `name` without our mark."""
        ...

    async def set_down(self, path: str, name: str) -> None:
        """Somebody sets a link down."""
        ...

    async def remove_prefix(self, path: str, prefix: str) -> None:
        """Somebody removes the route to a subnet."""
        ...


def scope(*paths: str) -> contract.Scope:
    return contract.Scope(paths=frozenset(paths))


def bridge(name: str = "br-one") -> world.Link:
    return world.Link(name=name, kind=Kind.BRIDGE, mark=NET, mac="02:11:22:33:44:55")


def pair(number: int = 1, *, inside: str, mark: str = ONE, master: str = "br-one") -> steps.AddPair:
    outer = world.Link(name=f"veth{number}", kind=Kind.VETH, mark=mark, master=master)
    inner = world.Link(
        name=f"eth{number}",
        kind=Kind.VETH,
        mark=mark,
        mac=f"02:00:00:00:00:0{number}",
        mtu=1400,
        twin=outer.name,
        settings=frozenset({(world.Setting.ARP_IGNORE, 1), (world.Setting.ACCEPT_RA, 0)}),
    )
    return steps.AddPair(outer=outer, inner=inner, inside=inside, subject=mark)


def address(link: str, text: str) -> world.Address:
    return world.Address(link, ip_interface(text))


def default(link: str, gateway: str) -> world.Route:
    return world.Route(destination=ip_network("0.0.0.0/0"), link=link, gateway=ip_address(gateway))


class KernelContract:
    """Subclasses give the fixture `rig`."""

    async def apply(self, rig: Rig, *plan: steps.Step) -> None:
        refusals = await rig.kernel.apply(plan)
        assert refusals == (), refusals

    async def standing(self, rig: Rig) -> str:
        """A bridge and one sandbox with eth1, an address and a default route; its path."""
        path = rig.named("box")
        step = pair(inside=path)
        await self.apply(
            rig,
            steps.MakeSpace(space=path, name="box", subject="s"),
            steps.AddLink(link=bridge(), subject=NET),
            step,
            steps.AddAddress(space=path, address=address("eth1", "10.1.0.2/24"), subject=ONE),
            steps.SetLink(space=path, link=step.inner, subject=ONE),
            steps.AddRoute(space=path, route=default("eth1", "10.1.0.1"), subject=ONE),
        )
        return path

    async def test_an_empty_host_has_a_loopback_and_nothing_of_ours(self, rig: Rig) -> None:
        have = await rig.kernel.read(scope())
        assert list(have.spaces) == [world.HOST]
        assert have.spaces[world.HOST].links["lo"].kind is Kind.LOOPBACK
        assert (dict(have.named), have.table) == ({}, None)

    async def test_a_made_namespace_is_empty_and_known_by_its_inode(self, rig: Rig) -> None:
        path = rig.named("box")
        await self.apply(rig, steps.MakeSpace(space=path, name="box", subject="s"))
        have = await rig.kernel.read(scope(path))
        assert have.named == {path: have.spaces[path].inode}
        assert have.spaces[path].inode != 0
        lo = have.spaces[path].links["lo"]
        assert (list(have.spaces[path].links), lo.up, lo.mark) == (["lo"], True, "")

    async def test_making_twice_and_removing_twice_is_fine(self, rig: Rig) -> None:
        path = rig.named("box")
        make = steps.MakeSpace(space=path, name="box", subject="s")
        await self.apply(rig, make)
        before = (await rig.kernel.read(scope(path))).spaces[path].inode
        await self.apply(rig, make)
        assert (await rig.kernel.read(scope(path))).spaces[path].inode == before
        await self.apply(rig, steps.DropSpace(space=path), steps.DropSpace(space=path))
        have = await rig.kernel.read(scope(path))
        assert (list(have.spaces), dict(have.named)) == ([world.HOST], {})

    async def test_what_was_made_is_read_back(self, rig: Rig) -> None:
        path = await self.standing(rig)
        have = await rig.kernel.read(scope(path))
        host, inside = have.spaces[world.HOST], have.spaces[path]
        assert (host.links["br-one"].mark, host.links["br-one"].mac) == (NET, "02:11:22:33:44:55")
        assert (host.links["veth1"].master, host.links["veth1"].up) == ("br-one", True)
        inner = inside.links["eth1"]
        assert (inner.kind, inner.mark, inner.up) == (Kind.VETH, ONE, True)
        assert (inner.mac, inner.mtu) == ("02:00:00:00:00:01", 1400)
        assert dict(inner.settings)[world.Setting.ARP_IGNORE] == 1
        assert dict(inner.settings)[world.Setting.ACCEPT_RA] == 0
        assert address("eth1", "10.1.0.2/24") in inside.addresses
        assert default("eth1", "10.1.0.1") in inside.routes

    async def test_a_narrow_scope_shows_no_more_than_was_asked_for(self, rig: Rig) -> None:
        path, other = await self.standing(rig), rig.named("other")
        await self.apply(rig, steps.MakeSpace(space=other, name="other", subject="s"))
        narrow = contract.Scope(paths=frozenset({path}), links=frozenset({"veth1", "absent"}))
        have = await rig.kernel.read(narrow)
        assert (list(have.named), set(have.spaces)) == ([path], {"", path})
        assert set(have.spaces[world.HOST].links) == {"veth1"}
        assert not {each for each in have.spaces[world.HOST].addresses if each.ours}
        assert "eth1" in have.spaces[path].links
        wider = replace(narrow, links=frozenset({"veth1", "br-one"}))
        assert (await rig.kernel.read(wider)).spaces[""].links["veth1"].master == "br-one"

    async def test_an_inner_end_is_ours_from_its_birth(self, rig: Rig) -> None:
        path, _ = await rig.adopt("guest")
        await self.apply(rig, steps.AddLink(link=bridge(), subject=NET), pair(inside=path))
        assert (await rig.kernel.read(scope(path))).spaces[path].links["eth1"].mark

    async def test_a_removed_end_takes_the_other_along(self, rig: Rig) -> None:
        path = await self.standing(rig)
        await self.apply(rig, steps.DropLink(name="veth1", subject=ONE))
        have = await rig.kernel.read(scope(path))
        assert list(have.spaces[path].links) == ["lo"]
        assert {each.link for each in have.spaces[path].routes} <= {"lo"}

    async def test_many_links_go_at_once_and_others_stay(self, rig: Rig) -> None:
        path = await self.standing(rig)
        await rig.add_foreign(world.HOST, "br-foreign")
        await self.apply(rig, pair(2, inside=path, mark=TWO))
        await self.apply(
            rig, *(steps.DropLink(name=name, subject="x") for name in ("veth1", "veth2", "gone"))
        )
        have = await rig.kernel.read(scope(path))
        assert set(have.spaces[world.HOST].links) == {"lo", "br-one", "br-foreign"}

    async def test_a_removed_bridge_frees_its_ports(self, rig: Rig) -> None:
        await self.standing(rig)
        await self.apply(rig, steps.DropLink(name="br-one", subject=NET))
        host = (await rig.kernel.read(scope())).spaces[world.HOST]
        assert host.links["veth1"].master == ""

    async def test_a_link_that_went_down_lost_its_route(self, rig: Rig) -> None:
        path = await self.standing(rig)
        await rig.set_down(path, "eth1")
        inside = (await rig.kernel.read(scope(path))).spaces[path]
        assert not inside.links["eth1"].up
        assert not [each for each in inside.routes if each.table == world.MAIN_TABLE]
        assert address("eth1", "10.1.0.2/24") in inside.addresses

    async def test_a_lost_address_takes_the_route_along(self, rig: Rig) -> None:
        path = await self.standing(rig)
        gone = steps.DropAddress(space=path, address=address("eth1", "10.1.0.2/24"), subject=ONE)
        await self.apply(rig, gone, gone)
        inside = (await rig.kernel.read(scope(path))).spaces[path]
        assert not [each for each in inside.addresses if each.ours]
        assert not [each for each in inside.routes if each.ours]

    async def test_a_route_goes_alone(self, rig: Rig) -> None:
        path = await self.standing(rig)
        gone = steps.DropRoute(space=path, route=default("eth1", "10.1.0.1"), subject=ONE)
        await self.apply(rig, gone, gone)
        inside = (await rig.kernel.read(scope(path))).spaces[path]
        assert [each for each in inside.routes if each.ours] == []
        assert address("eth1", "10.1.0.2/24") in inside.addresses

    @pytest.mark.parametrize("own", ["10.1.0.2/24", "fd01::2/64"])
    async def test_the_route_that_an_address_brings_goes_and_comes_back(
        self, rig: Rig, own: str
    ) -> None:
        path, given = await self.standing(rig), address("eth1", own)
        if given.interface.version == 6:
            await self.apply(rig, steps.AddAddress(space=path, address=given, subject=ONE))
        *_, prefix = world.kernel_routes([given])
        for where in (path, path, None):
            inside = (await rig.kernel.read(scope(path))).spaces[path]
            assert prefix in inside.routes
            if where:
                await rig.remove_prefix(path, str(prefix.destination))
                inside = (await rig.kernel.read(scope(path))).spaces[path]
                assert prefix not in inside.routes
                again = steps.AddRoute(space=path, route=prefix, subject=ONE)
                await self.apply(rig, again, again)
        await self.apply(rig, steps.DropAddress(space=path, address=given, subject=ONE))
        inside = (await rig.kernel.read(scope(path))).spaces[path]
        assert prefix.destination not in {each.destination for each in inside.routes}

    async def test_the_routes_to_the_subnets_of_bridges_are_seen(self, rig: Rig) -> None:
        await self.standing(rig)
        gateways = [address("br-one", each) for each in ("10.1.0.1/24", "fd01::1/64")]
        await self.apply(rig, *(steps.AddAddress(address=each, subject=NET) for each in gateways))
        prefixes = set(world.kernel_routes(gateways))
        await rig.add_foreign(world.HOST, "br-foreign")
        for links in (None, frozenset({"br-one", "br-foreign"})):
            narrow = contract.Scope(paths=frozenset(), links=links)
            host = (await rig.kernel.read(narrow)).spaces[world.HOST]
            assert {each for each in host.routes if not each.destination.is_link_local} == prefixes
        await rig.remove_prefix(world.HOST, "10.1.0.0/24")
        host = (await rig.kernel.read(scope())).spaces[world.HOST]
        assert [str(each.destination) for each in prefixes - host.routes] == ["10.1.0.0/24"]

    async def test_a_gateway_that_no_route_leads_to_is_refused(self, rig: Rig) -> None:
        path = await self.standing(rig)
        await rig.remove_prefix(path, "10.1.0.0/24")
        add = steps.AddRoute(
            space=path, route=default("eth1", "10.1.0.9"), subject=ONE, replace=True
        )
        assert [each.step for each in await rig.kernel.apply((add,))] == [add]

    async def test_a_taken_route_is_refused_or_replaced_as_asked(self, rig: Rig) -> None:
        path = await self.standing(rig)
        other = default("eth1", "10.1.0.9")
        add = steps.AddRoute(space=path, route=other, subject=ONE)
        (refusal,) = await rig.kernel.apply((add,))
        assert (refusal.step, bool(refusal.reason)) == (add, True)
        await self.apply(rig, steps.AddRoute(space=path, route=other, subject=ONE, replace=True))
        inside = (await rig.kernel.read(scope(path))).spaces[path]
        assert [each for each in inside.routes if each.ours] == [other]

    async def test_a_port_without_its_bridge_is_refused_alone(self, rig: Rig) -> None:
        path = await self.standing(rig)
        lost = pair(2, inside=path, mark=TWO, master="absent")
        refusals = await rig.kernel.apply((lost, steps.AddLink(link=bridge("br-two"), subject=NET)))
        assert [each.step for each in refusals] == [lost]
        assert "br-two" in (await rig.kernel.read(scope())).spaces[world.HOST].links

    async def test_a_taken_name_is_refused(self, rig: Rig) -> None:
        await rig.add_foreign(world.HOST, "br-one")
        refusals = await rig.kernel.apply((steps.AddLink(link=bridge(), subject=NET),))
        assert [each.step.subject for each in refusals] == [NET]
        assert (await rig.kernel.read(scope())).spaces[world.HOST].links["br-one"].mark == ""

    async def test_steps_in_a_namespace_that_ended_are_refused(self, rig: Rig) -> None:
        path, _ = await rig.adopt("guest")
        await rig.end(path)
        step = pair(inside=path)
        plan = (
            steps.AddLink(link=bridge(), subject=NET),
            step,
            steps.SetLink(space=path, link=step.inner, subject=ONE),
        )
        assert [each.step for each in await rig.kernel.apply(plan)] == [step]

    async def test_what_stands_in_the_way_of_an_object_is_not_changed_for_it(
        self, rig: Rig
    ) -> None:
        path, _ = await rig.adopt("guest")
        await rig.add_foreign(path, "eth1")
        before = (await rig.kernel.read(scope(path))).spaces[path]
        step = pair(inside=path)
        plan = (
            steps.AddLink(link=bridge(), subject=NET),
            step,
            steps.AddAddress(space=path, address=address("eth1", "10.1.0.2/24"), subject=ONE),
            steps.SetLink(space=path, link=step.inner, subject=ONE),
        )
        assert [each.step for each in await rig.kernel.apply(plan)] == [step]
        have = await rig.kernel.read(scope(path))
        assert have.spaces[path] == before
        assert set(have.spaces[world.HOST].links) == {"lo", "br-one"}

    async def test_an_adopted_namespace_is_no_named_one(self, rig: Rig) -> None:
        path, inode = await rig.adopt("guest")
        have = await rig.kernel.read(scope(path))
        assert (have.spaces[path].inode, dict(have.named)) == (inode, {})

    @pytest.mark.parametrize("internal", [True, False])
    async def test_the_table_is_read_back_as_written(self, rig: Rig, internal: bool) -> None:
        fence = firewall.Fence(
            device="br-one",
            sides=frozenset(
                firewall.Side(subnet=ip_network(each)) for each in ("10.1.0.0/24", "fd01::/64")
            ),
            internal=internal,
        )
        for table in (firewall.Table(frozenset({fence})), firewall.OPEN):
            await self.apply(rig, steps.WriteTable(table=table))
            assert (await rig.kernel.read(scope())).table == table

    async def test_forwarding_that_we_switched_is_known_and_can_end(self, rig: Rig) -> None:
        await self.apply(rig, steps.Forward(version=4), steps.Forward(version=6))
        have = await rig.kernel.read(scope())
        assert (set(have.forwarding), set(have.switched)) == ({4, 6}, {4, 6})
        await self.apply(rig, steps.Forward(version=4, on=False))
        have = await rig.kernel.read(scope())
        assert (set(have.forwarding), set(have.switched)) == ({6}, {6})
