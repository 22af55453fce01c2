"""pyroute2, which shares no line with our codec, reads the kernel as we do."""

import ipaddress
from typing import Any

import pyroute2
import pytest

from netns import contract, world
from netns.netlink import route
from sdd.linux import netlink
from tests.kernel.netns.conftest import Host
from tests.kernel.netns.test_spine import two_boxes

pytestmark = pytest.mark.kernel

_LOCAL_TABLE = 255  # RT_TABLE_LOCAL


def _links(rtnl: Any) -> dict[int, str]:
    return {each["index"]: each.get("ifname") for each in rtnl.get_links()}


def _seen_links(rtnl: Any) -> set[tuple[str, str, int, str, str]]:
    names = _links(rtnl)
    return {
        (
            each.get("ifname"),
            each.get("address"),
            each.get("mtu"),
            (each.get("ifalias") or "").removeprefix("sdd:"),
            names.get(each.get("master") or 0, ""),
        )
        for each in rtnl.get_links()
    }


def _seen_addresses(rtnl: Any) -> set[tuple[str, Any]]:
    names = _links(rtnl)
    return {
        (
            names[each["index"]],
            ipaddress.ip_interface((each.get("local") or each.get("address"), each["prefixlen"])),
        )
        for each in rtnl.get_addr()
    }


def _seen_routes(rtnl: Any) -> set[tuple[Any, str, Any]]:
    names = _links(rtnl)
    everywhere = {2: "0.0.0.0", 10: "::"}  # AF_INET, AF_INET6
    return {
        (
            ipaddress.ip_network((each.get("dst") or everywhere[each["family"]], each["dst_len"])),
            names[each.get("oif")],
            ipaddress.ip_address(each.get("gateway")) if each.get("gateway") else None,
        )
        for family in everywhere
        for each in rtnl.get_routes(family=family)
        if each.get("table") != _LOCAL_TABLE
    }


def _read(look: Any) -> Any:
    with pyroute2.IPRoute() as rtnl:
        return look(rtnl)


@pytest.mark.parametrize("where", ["host", "web1"])
async def test_what_we_made_and_read_is_what_another_reads(host: Host, where: str) -> None:
    await host.settle(two_boxes(host))
    path = world.HOST if where == "host" else host.sandbox_path(where)
    have = await host.kernel.read(contract.Scope(paths=frozenset({path})))
    space = have.spaces[path]

    links = await host.doors.run(path, lambda: _read(_seen_links))
    ours = {
        (each.name, each.mac, each.mtu, each.mark, each.master) for each in space.links.values()
    }
    assert ours == links
    assert any(mark for *_, mark, _ in links), "the mark is there for others to see"

    addresses = await host.doors.run(path, lambda: _read(_seen_addresses))
    assert {(each.link, each.interface) for each in space.addresses} == addresses


async def test_routes_of_a_sandbox_are_what_another_reads(host: Host) -> None:
    await host.settle(two_boxes(host))
    path = host.sandbox_path("web1")
    have = await host.kernel.read(contract.Scope(paths=frozenset({path})))
    known = {
        (each.destination, each.link, each.gateway)
        for each in have.spaces[path].routes
        if each.table != _LOCAL_TABLE
    }
    assert known == await host.doors.run(path, lambda: _read(_seen_routes))


@pytest.mark.parametrize("version", [4, 6])
async def test_the_kernels_routes_are_told_without_those_of_broadcast(
    host: Host, version: int
) -> None:
    """Each address and each link has some of them: hundreds would be read for every connect."""
    await host.settle(two_boxes(host))

    ask = route.listing_of(version, route.KERNEL, route.UNICAST)

    def told() -> list[route.Report | None]:
        with netlink.Connection(netlink.ROUTE, strict=True) as connection:
            return list(map(route.of, connection.dump(*ask)))

    found = await host.doors.run(world.HOST, told)
    kinds = {(each.kind, each.table, each.protocol) for each in found if each is not None}
    assert kinds == {(route.UNICAST, world.MAIN_TABLE, route.KERNEL)}
