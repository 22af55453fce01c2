"""Published ports: following revision by revision ends where beginning anew does, on the kernel too."""

import asyncio
from dataclasses import replace
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st

from lb.ports import desired, image
from lb.ports.fake import FakeKernel
from lb.ports.reconciler import Reconciler
from sdd.model import endpoint, health, ids, network, service
from sdd.model.look import EVERYWHERE, NOWHERE
from sdd.model.port import Mode, Policy, Port, Protocol
from sdd.state import Change, ClusterState, Gone, Put
from tests.unit.lb import states
from tests.unit.lb.ports import towns

NETS = ("front", "back", "vault")
BOXES = ("a", "b", "c")
SERVICES = ("web", "api")


def ports(first: int) -> st.SearchStrategy[tuple[Port, ...]]:
    """Numbers of the holder's own: that no two have the same is the commands' business."""
    one = st.builds(
        Port,
        published=st.integers(first, first + 3),
        target=st.sampled_from([80, 81]),
        protocol=st.sampled_from([Protocol.TCP, Protocol.UDP]),
        mode=st.sampled_from(Mode),
        policy=st.sampled_from(Policy),
        address=st.sampled_from([None, ip_address("127.0.0.1"), ip_address("::")]),
    )
    keys = st.lists(one, max_size=4, unique_by=lambda each: (each.published, each.protocol))
    return keys.map(tuple)


def changes() -> st.SearchStrategy[Change]:
    names, nets, svcs = st.sampled_from(BOXES), st.sampled_from(NETS), st.sampled_from(SERVICES)
    plugs = st.builds(lambda name, net: ids.EndpointId(f"{name}-{net}"), names, nets)
    return st.one_of(
        names.flatmap(
            lambda name: ports(1000 + 10 * BOXES.index(name)).map(
                lambda found: Put(towns.box(name, *found))
            )
        ),
        svcs.flatmap(
            lambda name: ports(2000 + 10 * SERVICES.index(name)).map(
                lambda found: Put(towns.svc(name, *found))
            )
        ),
        st.builds(_plugged, names, nets, st.integers(1, 3)),
        st.builds(
            lambda of, name, n: Put(states.member(of, name, "front", weight=n)),
            svcs,
            names,
            st.integers(0, 2),
        ),
        st.builds(
            lambda of, name, status: Put(states.verdict(of, name, "front", status)),
            svcs,
            names,
            st.sampled_from(health.Status),
        ),
        plugs.map(lambda plug: Gone(endpoint.Endpoint, plug)),
        st.builds(
            lambda of, name: Gone(
                service.Member, (ids.ServiceId(of), ids.EndpointId(f"{name}-front"))
            ),
            svcs,
            names,
        ),
        st.sampled_from([Gone(network.Network, ids.NetworkId("unknown"))]),
    )


def _plugged(name: str, net: str, number: int) -> Change:
    host = BOXES.index(name) + 10 * number
    addresses = [f"10.{NETS.index(net) + 1}.0.{host}/24"]
    addresses += [f"fd01::{host}/64"] * (net == "front")
    return Put(states.plug(name, net, *addresses))


def wanted(state: ClusterState) -> frozenset[image.Element]:
    want = desired.desired(state, desired.nothing(states.NODE))
    return frozenset(
        element for part in want.parts.values() for each in part for element in image.of(each)
    )


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.lists(changes(), max_size=6), st.sampled_from([0, 0, 1, 2])), max_size=8)
)
def test_following_ends_where_beginning_anew_does(
    revisions: list[tuple[list[Change], int]],
) -> None:
    """0: only the state tells; 1: a look at everything; 2: the daemon was killed before."""

    async def play() -> None:
        kernel = FakeKernel()
        kernel.links |= {each.device for each in towns.GROUND}
        one = Reconciler(kernel, states.NODE, ready_s=0.01)
        ground = [Put(each) for each in towns.GROUND]
        ground += [Put(towns.box(name)) for name in BOXES]
        ground += [Put(towns.svc(name)) for name in SERVICES]
        state = ClusterState().apply(ids.Revision(1), ground)
        for number, (batch, how) in enumerate(revisions, start=2):
            state = state.apply(ids.Revision(number), batch)
            if how == 2:
                one, kernel.held = Reconciler(kernel, states.NODE, ready_s=0.01), set()
            outcome = await one.realise(state, EVERYWHERE if how else NOWHERE)
            assert (outcome.failures, outcome.repaired) == ((), 0)
            assert kernel.image == wanted(state)
            want = desired.desired(state, desired.nothing(states.NODE))
            assert kernel.held == {each.bind for part in want.parts.values() for each in part}

    asyncio.run(play())


@settings(deadline=None)
@given(st.sets(st.integers(0, 30), max_size=8), ports(1000))
def test_whatever_hands_took_away_is_back_after_a_look(
    lost: set[int], found: tuple[Port, ...]
) -> None:
    async def play() -> None:
        kernel = FakeKernel()
        one = Reconciler(kernel, states.NODE, ready_s=0.01)
        plug = states.plug("a", "front", "10.1.0.2/24", "fd01::2/64")
        box = replace(towns.box("a"), ports=found)
        state = states.state(*towns.GROUND, box, plug)
        await one.realise(state, NOWHERE)
        whole = kernel.image
        assert whole == wanted(state)
        everything = sorted(whole, key=str)
        kernel.image = frozenset(each for at, each in enumerate(everything) if at not in lost)
        await one.realise(state, EVERYWHERE)
        assert kernel.image == whole

    asyncio.run(play())
