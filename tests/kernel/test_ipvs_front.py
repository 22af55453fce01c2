"""What stands in front of IPVS, and the local routes: nftables and rtnetlink alone, so any kernel."""

import re
import tempfile
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import NamedTuple

import pytest

from lb.kernel import (
    ipvs_front,
    local_routes,
    nft_frame,
    nft_messages,
    nft_netlink,
    nft_prints,
)
from lb.kernel.ipvs_front import Front
from lb.kernel.nft_expressions import element
from sdd.linux import namespaces, netlink, nft_compile
from sdd.model.network import IPAddress
from tests import support

pytestmark = pytest.mark.kernel

FIRST, FIRST6 = ip_address("10.77.4.0"), ip_address("fd77::400")
WRITER = nft_messages.Writer(nft_frame.TABLE)
MARK4 = nft_messages.Set(name="mark4", key=nft_messages.ADDRESS[4])


class Inside(NamedTuple):
    """Connections in an empty namespace, and what makes the table there."""

    tables: netlink.Connection
    routes: netlink.Connection
    frame: Sequence[netlink.Message]


async def inside(work: Callable[[Inside], None]) -> None:
    """Runs `work` there."""
    doors = namespaces.Namespaces()
    path = f"{tempfile.mkdtemp()}/empty"
    text = ipvs_front.frame_of("")

    def opened() -> None:
        with (
            netlink.Connection(netlink.NETFILTER) as tables,
            netlink.Connection(netlink.ROUTE) as routes,
        ):
            work(Inside(tables, routes, frame))

    try:
        frame = await doors.scratch(lambda: nft_compile.messages(text, nft_frame.TABLE))
        await doors.create(path)
        await doors.run(path, opened)
        await doors.delete(path)
    finally:
        doors.close()


def fronts(count: int) -> dict[IPAddress, Front]:
    """Of both IP versions, every seventh of them without a backend."""
    made = (
        Front(vip=first + at, number=at + 1, is_up=at % 7 > 0)
        for at in range(count)
        for first in (FIRST, FIRST6)
    )
    return {each.vip: each for each in made}


def written(into: Inside, want: ipvs_front.Fronts) -> None:
    messages = ipvs_front.rebuild(want, into.frame, is_there=False)
    assert not into.tables.transaction(nft_compile.SUBSYSTEM, messages).error


@pytest.mark.parametrize("count", [1, 3, 500])
async def test_fronts_are_read_as_they_were_written_all_or_some(count: int) -> None:
    want = fronts(count)
    some = tuple(want)[: max(1, len(want) // 3)]

    def work(here: Inside) -> None:
        written(here, want)
        assert ipvs_front.read(here.tables) == ipvs_front.Found(
            fronts=want, damaged={}, flaws=(), is_there=True
        )
        found = ipvs_front.read(here.tables, some)
        assert found.fronts == {vip: want[vip] for vip in some}

    await inside(work)


async def test_a_mark_of_hands_is_found_among_many() -> None:
    want = fronts(100)
    strange = element(FIRST.packed + bytes((50, 0, 0, 0)), ipvs_front._to_number(7))

    def work(here: Inside) -> None:
        written(here, want)
        more = WRITER.add_elements(MARK4, [strange])
        assert not here.tables.transaction(nft_compile.SUBSYSTEM, more).error
        found = ipvs_front.read(here.tables)
        assert found.flaws == (f"the marks of {FIRST} are not as sdd writes them",)
        assert found.fronts == {vip: each for vip, each in want.items() if vip != FIRST}
        assert found.damaged == {FIRST: want[FIRST]}
        assert len(list(nft_netlink.elements(here.tables, "own4"))) == 100

    await inside(work)


@pytest.mark.parametrize("rule", ["ip daddr 10.77.4.0 accept", "meta mark set 7"])
async def test_a_rule_that_hands_replaced_with_its_comment_is_found(rule: str) -> None:
    def work(here: Inside) -> None:
        written(here, fronts(3))
        prints = nft_prints.of_chains(here.tables, nft_netlink.rules(here.tables))
        assert ipvs_front.read(here.tables, wanted=prints).flaws == ()
        listed = support.run("nft", "-a", "list", "chain", "inet", "sdd-lb", "output").stdout
        comment, handle = re.findall(r'comment "([^"]*)" # handle (\d+)', listed)[0]
        replaced = f'replace rule inet sdd-lb output handle {handle} {rule} comment "{comment}"'
        support.run("nft", replaced)
        assert ipvs_front.read(here.tables, wanted=prints).flaws == (
            "the rules of the chain 'output' do not do what they say",
        )

    await inside(work)


async def test_routes_are_read_as_they_were_made_and_those_of_others_are_not() -> None:
    want: dict[IPAddress, IPAddress | None] = {
        **{FIRST + at: ip_address(f"127.0.0.{1 + at % 2}") for at in range(300)},
        **{FIRST6 + at: None for at in range(300)},
    }

    def work(here: Inside) -> None:
        assert local_routes.read(here.routes) == {}  # those of lo are not ours
        assert not any(each.error for each in local_routes.add(here.routes, want).values())
        assert local_routes.read(here.routes) == want
        some = (FIRST, FIRST6)
        assert local_routes.asked(here.routes, some) == {vip: want[vip] for vip in some}
        local_routes.remove(here.routes, some)
        assert local_routes.read(here.routes) == {v: s for v, s in want.items() if v not in some}

    await inside(work)
