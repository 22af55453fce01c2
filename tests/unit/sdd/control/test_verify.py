"""What is wrong is found by the backends' own plans, on kernels in memory, and nothing is changed."""

from dataclasses import dataclass, replace
from ipaddress import ip_address

import pytest

from lb import fake as lb_fake
from lb import reconciler as lb_reconciler
from lb.ports import fake as ports_fake
from lb.ports import reconciler as ports_reconciler
from netns import fake as netns_fake
from netns import reconciler as netns_reconciler
from sdd import errors
from sdd.control.verify import Verifier
from sdd.model import absence, ids, service
from sdd.model.difference import Difference
from sdd.model.network import IPAddress
from sdd.model.progress import Backend
from sdd.state import ClusterState, Put
from tests.netns_states import NODE, at, box, end, net

FRONT = net("front", "10.1.0.0/24")
WEB1, CLIENT = (box(name, f"/run/sdd/netns/{name}") for name in ("web1", "client"))
ENDS = (end(FRONT, WEB1, "10.1.0.2"), end(FRONT, CLIENT, "10.1.0.3"))
VIP: IPAddress = FRONT.pools[0].subnet[100]
WEB = service.Service(id=ids.ServiceId("web"), name="web", network=FRONT.id, number=1, vips=(VIP,))
MEMBER = service.Member(service=WEB.id, endpoint=ENDS[0].id, sandbox=WEB1.id, node=NODE)


@dataclass(frozen=True)
class Reply:
    rcode: str


def nothing() -> None:
    """What happens between two looks, unless a test says otherwise."""


class Town:
    """Two sandboxes and a service, made by the real reconcilers on the fakes."""

    def __init__(self) -> None:
        self.netns = netns_fake.FakeKernel()
        self.balancer = lb_fake.FakeKernel()
        self.ports = ports_fake.FakeKernel()
        self.rcodes: dict[str, str | errors.SddError] = {}
        self.settled = 0
        base = at(1, FRONT, WEB1, CLIENT, *ENDS)
        self.state: ClusterState = base.apply(ids.Revision(2), [Put(WEB), Put(MEMBER)])
        self.on_settle = nothing
        self.behind: dict[Backend, str] = {}

    async def made(self) -> "Town":
        for each in (WEB1, CLIENT):
            self.balancer.make(each.netns)
        await netns_reconciler.Reconciler(self.netns, NODE).realise(self.state)
        await ports_reconciler.Reconciler(self.ports, NODE, ready_s=0.02).realise(self.state)
        await lb_reconciler.Reconciler(self.balancer, NODE, ready_s=0.02).realise(self.state)
        return self

    async def ask(
        self, netns: str, name: str, rdtype: str, *, tcp: bool, timeout_s: float
    ) -> Reply:
        assert (rdtype, tcp) == ("A", False)
        assert timeout_s > 0
        assert netns.endswith(name)
        found = self.rcodes.get(name, "NOERROR")
        if isinstance(found, errors.SddError):
            raise found
        return Reply(found)

    async def settle(self) -> None:
        self.settled += 1
        self.on_settle()

    async def differences(self) -> list[Difference]:
        verifier = Verifier(
            state=lambda: self.state,
            node=NODE,
            netns=self.netns,
            balancer=self.balancer,
            ask=self.ask,
            ports=self.ports,
            settle=self.settle,
            behind=lambda: self.behind,
        )
        return list(await verifier.differences())


@pytest.fixture
async def town() -> Town:
    return await Town().made()


async def test_all_is_well_after_one_look(town: Town) -> None:
    assert await town.differences() == []
    assert town.settled == 0


async def test_a_backend_that_is_late_is_told_though_nothing_else_differs(town: Town) -> None:
    town.behind = {Backend.RESOLVER: "resolver has been behind for 34 s"}
    (found,) = await town.differences()
    assert (found.backend, found.says) == (Backend.RESOLVER, "resolver has been behind for 34 s")


async def test_a_missing_link_and_its_routes_are_told(town: Town) -> None:
    town.netns.remove_link(WEB1.netns, "eth0")
    found = await town.differences()
    assert {each.backend for each in found} == {Backend.NETNS}
    assert any("'eth0'" in each.says and "missing or different" in each.says for each in found)
    assert "eth0" not in town.netns.spaces[WEB1.netns].links


async def test_a_table_that_is_gone_is_told(town: Town) -> None:
    town.netns.table = None
    (found,) = await town.differences()
    assert found.says == "the table inet sdd is missing or different"


async def test_what_is_too_much_is_told(town: Town) -> None:
    town.state = at(3, FRONT, CLIENT, ENDS[1])
    said = [each.says for each in await town.differences()]
    assert any("should not be there" in each for each in said)


async def test_a_lost_backend_is_told(town: Town) -> None:
    town.balancer.make(CLIENT.netns)
    (found,) = {(each.backend, each.subject) for each in await town.differences()}
    assert found == (Backend.LB, CLIENT.id)


async def test_a_server_that_does_not_answer_is_told(town: Town) -> None:
    town.rcodes = {"web1": "SERVFAIL", "client": errors.Unavailable("nobody listens")}
    found = {each.subject: each.says for each in await town.differences()}
    assert found == {
        WEB1.id: "its own name is answered with SERVFAIL",
        CLIENT.id: "nobody listens",
    }


async def test_of_a_namespace_that_is_gone_netns_tells_alone(town: Town) -> None:
    town.netns.remove_space(CLIENT.netns)
    town.balancer.delete(CLIENT.netns)
    town.rcodes["client"] = errors.NotFound("there is no network namespace", code=absence.CODE)
    found = await town.differences()
    assert {each.backend for each in found} == {Backend.NETNS}
    assert "the namespace 'client' is missing or different" in {each.says for each in found}


async def test_a_name_that_is_none_for_dns_is_no_difference(town: Town) -> None:
    town.rcodes = {"web1": errors.Invalid("no name")}
    assert await town.differences() == []


async def test_what_is_right_at_the_second_look_was_no_difference(town: Town) -> None:
    town.rcodes = {"web1": "SERVFAIL"}
    town.on_settle = town.rcodes.clear
    assert await town.differences() == []
    assert town.settled == 1


async def test_equal_macs_on_one_network_are_told() -> None:
    town = await Town().made()
    twin = replace(ENDS[1], mac=ENDS[0].mac)
    town.state = town.state.apply(ids.Revision(3), [Put(twin)])
    await netns_reconciler.Reconciler(town.netns, NODE).realise(town.state)
    found = [each for each in await town.differences() if "MAC" in each.says]
    assert [each.subject for each in found] == [twin.id]
    assert "sandbox web1 too" in found[0].says


async def test_a_name_server_that_is_never_asked_is_told(town: Town) -> None:
    servers = (ip_address("fe80::1%eth0"), ip_address("fe80::1"))
    dns = replace(CLIENT.dns, servers=servers)
    town.state = town.state.apply(ids.Revision(3), [Put(replace(CLIENT, dns=dns))])
    (found,) = await town.differences()
    assert (found.backend, found.subject) == (Backend.RESOLVER, CLIENT.id)
    assert found.says.startswith("fe80::1%eth0 (--dns) is never asked")
