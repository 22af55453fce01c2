"""What hands do to a sandbox's table is mended; before anybody looked it fails no change of ours."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest

from lb import plan, table
from lb.kernel import nft_patterns, nft_prints
from lb.kernel.nft_prints import Prints
from lb.kernel.nftables import NftablesKernel
from lb.reconciler import Reconciler
from sdd.model import ids, sandbox
from sdd.model.look import NOWHERE
from sdd.model.network import IPAddress
from sdd.state import ClusterState, Put
from tests.kernel import lb_town, lb_traffic
from tests.kernel.lb_town import VIP, Town
from tests.unit.lb import states

pytestmark = pytest.mark.kernel

OTHER = "10.77.0.201"
Services = Mapping[IPAddress, table.VirtualService]


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    built = Town("stale")
    yield built
    built.close()


def client(town: Town) -> sandbox.Sandbox:
    return replace(states.box("client"), netns=town.path("client"))


def at(town: Town, revision: int, *members: str, other: bool = True) -> ClusterState:
    """`web` with those members, and `other` with one."""
    plugs = [states.plug(each, "front", f"{town.address(each)}/24") for each in town.backends]
    mine = states.plug("client", "front", f"{town.address('client')}/24")
    served = [states.member("web", each, "front") for each in members]
    second = states.svc("other", "front", OTHER, number=2)
    more = (second, states.member("other", "b3", "front")) if other else ()
    here = (states.net("front", 1), client(town), mine, states.svc("web", "front", str(VIP)))
    return states.state(*here, *plugs, *served, *more, revision=revision)


@pytest.mark.parametrize(
    "damage",
    [
        "delete table inet sdd-lb",
        "flush chain inet sdd-lb output",
        "flush chain inet sdd-lb refuse",
        "flush chain inet sdd-lb vip-10.77.0.200",
        "delete element inet sdd-lb vip4 { 10.77.0.200 }",
        "delete element inet sdd-lb own4 { 10.77.0.200 }",
        (
            "delete element inet sdd-lb vip4 { 10.77.0.200 };"
            " add element inet sdd-lb vip4 { 10.77.0.200 : jump vip-10.77.0.200 }"
        ),
        "add rule inet sdd-lb vip-10.77.0.200 drop",
        "insert rule inet sdd-lb output drop",
        "add chain inet sdd-lb foreign",
        "add chain inet sdd-lb foreign { type filter hook input priority 0; policy drop; }",
        "add table inet sdd-lb { flags dormant; }",
        "add chain inet sdd-lb refuse { policy drop; }",
        (
            "delete table inet sdd-lb; add table inet sdd-lb;"
            " add map inet sdd-lb vip4 { type inet_service : verdict; };"
            " add element inet sdd-lb vip4 { 80 : accept }"
        ),
    ],
)
async def test_what_hands_change_is_seen_and_mended(town: Town, damage: str) -> None:
    kernel, place = NftablesKernel(town.doors), town.place()
    await lb_traffic.put(kernel, town, lb_traffic.service(town))
    want = await kernel.read(place)
    town.nft("client", damage)
    have = await kernel.read(place)
    steps = plan.diff(have, want)
    assert steps
    assert (await kernel.apply(place, have, steps)).refusals == ()
    assert await kernel.read(place) == want
    assert lb_traffic.shares(town, 9) == {"b1": 3, "b2": 3, "b3": 3}
    await lb_traffic.put(kernel, town)


@pytest.mark.parametrize(
    "damage",
    [
        "delete table inet sdd-lb",
        "flush table inet sdd-lb",
        "flush chain inet sdd-lb output; flush chain inet sdd-lb refuse",
        f"delete element inet sdd-lb vip4 {{ {OTHER} }}",
        f"delete element inet sdd-lb own4 {{ {OTHER} }}",
        "delete element inet sdd-lb vip4 { 10.77.0.200 }",
        "delete element inet sdd-lb own4 { 10.77.0.200 }",
        f"flush map inet sdd-lb vip4; delete chain inet sdd-lb vip-{OTHER}",
        "flush map inet sdd-lb vip4; delete chain inet sdd-lb vip-10.77.0.200",
        "delete table inet sdd-lb; add table inet sdd-lb",
        "add table inet sdd-lb { flags dormant; }",
    ],
)
async def test_a_change_after_hands_is_made(town: Town, damage: str) -> None:
    reconciler = Reconciler(NftablesKernel(town.doors), states.NODE)
    for revision, before, after, other in (
        (10, ("b1", "b2"), ("b1", "b2", "b3"), True),  # a backend comes
        (20, ("b1", "b2", "b3"), ("b2",), True),  # two leave
        (30, ("b1", "b2"), ("b1", "b2"), False),  # another service goes
        (40, (), ("b1",), True),  # the first one comes
    ):
        assert (await reconciler.realise(at(town, revision, *before))).failures == ()
        town.nft("client", damage)
        state = at(town, revision + 1, *after, other=other)
        assert (await reconciler.realise(state, NOWHERE)).failures == ()
        assert (await reconciler.realise(state)).failures == ()
        assert (await reconciler.realise(state)).changed == 0
        assert set(lb_traffic.spread(town)) == set(after)
    none = at(town, 50, other=False)
    await reconciler.realise(none)


# Chain, which of its rules, and what comes there; or a command of nft.
EDITS = [
    "delete element inet sdd-lb ported { tcp }",
    "add element inet sdd-lb ported { icmp }",
    "flush set inet sdd-lb ported",
    (f"vip-{VIP}", 0, "meta l4proto @ported dnat ip to 10.77.0.1"),
    (f"vip-{VIP}", 0, "meta l4proto @ported dnat ip to numgen inc mod 2 map { 0 : 10.77.0.1 }"),
    (f"vip-{VIP}", 1, "dnat ip to 10.77.0.99"),
    ("output", 0, "ip daddr 10.77.0.9 accept"),
    ("refuse", 0, "ip daddr @own4 return"),
    ("refused", 1, "meta l4proto { icmp } reject with icmpx type host-unreachable"),
    ("sent", 0, "accept"),
]


def edit_by_hand(town: Town, edit: str | tuple[str, int, str]) -> None:
    if isinstance(edit, str):
        town.nft("client", edit)
    else:
        town.edit("client", *edit)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("is_restarted", [False, True])
async def test_an_edit_that_keeps_the_comments_is_seen_mended_and_told(
    town: Town, edit: str | tuple[str, int, str], is_restarted: bool
) -> None:
    """Also what was done while no sdd ran, and beside what others changed."""
    reconciler = Reconciler(NftablesKernel(town.doors), states.NODE)
    state = at(town, 10, "b1", "b2", "b3")
    await reconciler.realise(at(town, 9, "b1", "b2"))
    await reconciler.realise(state, NOWHERE)
    assert (await reconciler.realise(state)).repairs == ()
    town.nft("client", "add table inet theirs; delete table inet theirs")
    edit_by_hand(town, edit)
    if is_restarted:
        reconciler = Reconciler(
            NftablesKernel(town.doors), states.NODE, was_realised=lambda _revision: True
        )
    outcome = await reconciler.realise(state)
    assert (outcome.failures, outcome.repaired) == ((), 1)
    (told,) = outcome.repairs
    assert told.sandbox == "client"
    again = await reconciler.realise(state)
    assert (again.changed, again.repairs) == (0, ())
    assert set(lb_traffic.spread(town)) == {"b1", "b2", "b3"}
    await reconciler.realise(at(town, 50, other=False))


async def test_what_an_edit_led_astray_comes_back_with_it(town: Town) -> None:
    reconciler = Reconciler(NftablesKernel(town.doors), states.NODE)
    state = at(town, 10, "b1")
    for _ in range(2):
        await reconciler.realise(state)
    town.edit("client", f"vip-{VIP}", 0, "dnat ip to 10.77.0.3")
    with town.opened("client", socket.SOCK_DGRAM) as talker:
        talker.connect((str(VIP), 53))
        assert lb_town.say(talker).who == "b3"
        assert (await reconciler.realise(state)).repaired == 1
        assert lb_town.say(talker).who == "b1"
    await reconciler.realise(at(town, 50, other=False))


async def test_rules_are_compared_once_whatever_others_write(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []
    flaws = nft_patterns.Patterns.flaws

    async def noted(
        self: nft_patterns.Patterns, uplink: str, services: Services, found: Prints
    ) -> Sequence[table.Flaw]:
        compared.extend(each for each in found if not each.startswith(nft_prints.SET))
        return await flaws(self, uplink, services, found)

    monkeypatch.setattr(nft_patterns.Patterns, "flaws", noted)
    town.nft("client", "add table inet sdd-lb; delete table inet sdd-lb")
    reconciler = Reconciler(NftablesKernel(town.doors), states.NODE)
    for revision, members in ((10, ("b1", "b2")), (11, ("b1", "b3")), (12, ("b1",))):
        await reconciler.realise(at(town, revision, *members), NOWHERE)
        await reconciler.realise(at(town, revision, *members))  # nobody else wrote
        for _ in range(2):
            town.nft("client", "add table inet theirs; delete table inet theirs")
            assert (await reconciler.realise(at(town, revision, *members))).changed == 0
    assert compared == []
    town.nft("client", "add table inet theirs; delete table inet theirs")
    for _ in range(2):
        await reconciler.realise(at(town, 13, "b1", "b2"), NOWHERE)
        await reconciler.realise(at(town, 13, "b1", "b2"))
    assert sorted(set(compared)) == sorted(compared)
    assert {"output", f"vip-{VIP}"} <= set(compared)
    await reconciler.realise(at(town, 50, other=False))


async def test_a_change_of_our_own_does_not_hide_what_hands_did_before_it(town: Town) -> None:
    reconciler = Reconciler(NftablesKernel(town.doors), states.NODE)
    await reconciler.realise(at(town, 10, "b1", "b2"))
    await reconciler.realise(at(town, 10, "b1", "b2"))
    town.edit("client", "output", 0, "ip daddr 10.77.0.9 accept")
    await reconciler.realise(at(town, 11, "b1", "b2", "b3"), NOWHERE)
    outcome = await reconciler.realise(at(town, 11, "b1", "b2", "b3"))
    assert [each.what for each in outcome.repairs] == [
        "the rules of the chain 'output' do not do what they say"
    ]
    assert (await reconciler.realise(at(town, 11, "b1", "b2", "b3"))).changed == 0
    await reconciler.realise(at(town, 50, other=False))


async def test_a_table_that_was_saved_edited_and_loaded_again_is_seen(town: Town) -> None:
    """Its rules may have the numbers that ours had."""
    reconciler = Reconciler(NftablesKernel(town.doors), states.NODE)
    state = at(town, 10, "b1", "b2", "b3")
    for _ in range(2):
        await reconciler.realise(state)
    saved = town.nft("client", "-s", "list", "table", "inet", "sdd-lb")
    edited = saved.replace(" : 10.77.0.2", " : 10.77.0.1")
    assert edited != saved
    town.nft("client", f"delete table inet sdd-lb; {edited}")
    outcome = await reconciler.realise(state)
    assert [(each.service, each.what) for each in outcome.repairs] == [
        ("web", f"the rules of {VIP} do not do what they say")
    ]
    assert set(lb_traffic.spread(town)) == {"b1", "b2", "b3"}
    assert (await reconciler.realise(state)).changed == 0
    await reconciler.realise(at(town, 50, other=False))


async def test_a_change_is_put_together_once_for_all_networks(town: Town) -> None:
    """`b3` is on another network as well, and its table is gone when the change comes."""
    extra = (
        states.net("back", 2),
        replace(states.box("b3"), netns=town.path("b3")),
        states.plug("b3", "back", "10.88.0.9/24"),
        states.svc("db", "back", "10.88.0.100", number=3),
    )
    before, after = (
        at(town, revision, *members).apply(ids.Revision(revision), [Put(each) for each in extra])
        for revision, members in ((60, ("b1",)), (61, ("b1", "b2")))
    )
    kernel = NftablesKernel(town.doors)
    reconciler = Reconciler(kernel, states.NODE)
    for damage in ("", "delete table inet sdd-lb"):
        assert (await reconciler.realise(before)).failures == ()
        if damage:
            town.nft("b3", damage)
        known = set(map(id, kernel._latest))
        outcome = await reconciler.realise(after, NOWHERE)
        assert (outcome.failures, outcome.repaired) == ((), 0)
        assert len([each for each in kernel._latest if id(each) not in known]) == 1
        assert (await reconciler.realise(after)).changed == 0
    await reconciler.realise(at(town, 70, other=False))
    await reconciler.realise(states.state(revision=71))
