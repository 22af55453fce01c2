"""What Docker's own tests of its DNS server check (docker.md §3.1, §3.10), of ours: state → answer."""

from dataclasses import replace

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest

from resolver import counters, desired, protocol
from resolver.control import difference
from resolver.files.upstreams import DaemonDns
from resolver.listen import respond
from resolver.message import wire
from resolver.names import answer
from sdd.model import endpoint, ids, sandbox
from sdd.state import ClusterState, Gone, Put
from tests.unit.resolver.questions import NODE, at, box, data, end, member, net, svc

RED, BLUE = net("red"), net("blue", "10.2.0.0/24,fd02::/64")
ANN, BOB = box("ann"), box("bob")
ANN_RED = end(ANN, RED, "10.1.0.2/24", aliases=("name1",))
BOB_RED = end(BOB, RED, "10.1.0.3/24")
BOB_BLUE = end(BOB, BLUE, "10.2.0.3/24", "fd02::3/64", aliases=("bluebob",))
BLANK = protocol.Inventory(
    release=protocol.RELEASE, pid=1, revision=0, tables={}, views={}, listeners={}
)
TOWN = (RED, BLUE, ANN, BOB, ANN_RED, BOB_RED, BOB_BLUE)


def scope(state: ClusterState, of: sandbox.Sandbox = BOB) -> answer.Scope:
    built = desired.desired(state, NODE, DaemonDns()).snapshot
    view = built.views[of.id]
    return answer.Scope.of(view, [dict(built.tables[each].names) for each in view.tables])


def ask(
    state: ClusterState,
    name: str,
    kind: str = "A",
    of: sandbox.Sandbox = BOB,
    *,
    stream: bool = False,
) -> dns.message.Message | None:
    """The reply; None when the question goes to an upstream."""
    responder = respond.Responder(counters.Counters(), lambda _: 0)
    said = responder.respond(data(name, kind), scope(state, of), stream=stream)
    return dns.message.from_wire(said.reply) if isinstance(said, respond.Said) else None


def found(state: ClusterState, name: str, kind: str = "A", of: sandbox.Sandbox = BOB) -> set[str]:
    reply = ask(state, name, kind, of)
    return {each.to_text() for rrset in reply.answer for each in rrset} if reply else set()


def without(state: ClusterState, *gone: endpoint.Endpoint | sandbox.Sandbox) -> ClusterState:
    return state.apply(ids.Revision(8), [Gone(type(each), each.id) for each in gone])


@pytest.mark.parametrize("name", ["name1.", "NaMe1.", "name1", "name1.red", "NAME1.Red."])
def test_C1_a_name_has_one_address_in_whatever_case(name: str) -> None:
    reply = ask(at(*TOWN), name)
    assert reply is not None
    assert (reply.rcode(), found(at(*TOWN), name)) == (dns.rcode.NOERROR, {"10.1.0.2"})
    assert reply.flags & dns.flags.AA
    assert reply.flags & dns.flags.RA


@pytest.mark.parametrize("kind", ["MX", "AAAA", "HTTPS", "TYPE65280"])
def test_C2_C4_another_type_of_a_known_name_is_nodata_and_not_forwarded(kind: str) -> None:
    reply = ask(at(*TOWN), "name1", kind)
    assert reply is not None
    assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])
    assert reply.authority[0].rdtype == dns.rdatatype.SOA


def test_A8_07_with_a_networks_name_it_is_the_address_there() -> None:
    state = at(*TOWN)
    assert found(state, "bob") in ({"10.1.0.3"}, {"10.2.0.3"})
    assert found(state, "bob.red") == {"10.1.0.3"}
    assert found(state, "bob.blue") == {"10.2.0.3"}
    assert found(state, "bob.blue", "AAAA") == {"fd02::3"}
    assert found(state, "bob.red", "AAAA") == set()


def test_C16_other_aliases_of_a_service_change_only_those_names() -> None:
    api = svc("api", RED, vips=(), aliases=("one", "two"))
    state = at(*TOWN, api, member(api, ANN_RED))
    before = desired.desired(state, NODE, DaemonDns())
    after = desired.desired(
        state.apply(ids.Revision(8), [Put(replace(api, aliases=("two", "three")))]),
        NODE,
        DaemonDns(),
        before,
    )
    has = difference.after(BLANK, before.snapshot)
    (change,) = (
        each
        for each in difference.messages(has, after.snapshot)
        if isinstance(each, protocol.TableChange)
    )
    put = (name for names, _ in change.put for name in names)
    said = {wire.to_text(each) for each in (*put, *change.gone)}
    names = {f"{tasks}{alias}." for tasks in ("", "tasks.") for alias in ("one", "three")}
    assert said == names | {f"{each}red." for each in names}


def test_C17_one_network_emptied_leaves_the_others_names() -> None:
    state = without(at(*TOWN), ANN_RED, BOB_RED)
    assert found(state, "bob") == found(state, "bob.blue") == {"10.2.0.3"}
    assert found(state, "name1") == set()
    built = desired.desired(without(state, BOB_BLUE), NODE, DaemonDns()).snapshot
    assert not built.views
    assert not built.tables


def test_C28_an_alias_is_of_its_network_only_and_goes_with_it() -> None:
    state = at(*TOWN)
    assert found(state, "bluebob") == {"10.2.0.3"}
    assert found(state, "bluebob", of=ANN) == found(state, "bluebob.red") == set()
    away = without(state, BOB_BLUE)
    assert found(away, "bluebob") == set()
    assert found(away, "name1") == {"10.1.0.2"}


def test_C31_a_sandbox_resolves_while_it_is_there() -> None:
    state = at(*TOWN)
    short = ids.short(ANN.id)
    assert found(state, short) == found(state, "ann") == {"10.1.0.2"}
    gone = without(state, ANN_RED, ANN)
    assert found(gone, short) == found(gone, "ann") == set()
    before, after = (desired.desired(each, NODE, DaemonDns()) for each in (state, gone))
    assert before.texts[BOB.id] == after.texts[BOB.id]


def test_X3_two_hundred_addresses_are_cut_over_udp_and_whole_over_tcp() -> None:
    many = [box(f"m{n}") for n in range(200)]
    ends = [end(each, RED, f"10.1.0.{n + 20}/24", aliases=("all",)) for n, each in enumerate(many)]
    state = at(*TOWN, *many, *ends)
    cut, whole = ask(state, "all"), ask(state, "all", stream=True)
    assert cut is not None
    assert whole is not None
    assert cut.flags & dns.flags.TC
    assert len(cut.answer[0]) >= 20
    assert not whole.flags & dns.flags.TC
    assert len(whole.answer[0]) == 200


@pytest.mark.parametrize("octet", [0, 0x2E, 0xFF])
def test_A8_47_any_octet_in_a_label_is_an_octet(octet: int) -> None:
    name = bytes((5, *b"na", octet, *b"me", 0))
    asked = data("x")[:12] + name + b"\0\1\0\1"
    responder = respond.Responder(counters.Counters(), lambda _: 0)
    assert isinstance(responder.respond(asked, scope(at(*TOWN)), stream=False), wire.Query)
    assert wire.to_text(name) == dns.name.from_wire(name, 0)[0].to_text()


def test_A8_100_names_never_become_labels_of_metrics() -> None:
    counts = counters.Counters()
    responder = respond.Responder(counts, lambda _: 0)
    hostile = ('a"b', "a\\nb", "a\\\\b", "x" * 63, "a{b}", "a,b=c", "web", "name1.red")
    seen = scope(at(*TOWN))
    responder.respond(data("first"), seen, stream=False)
    before = {tuple(labels) for labels, _ in counts.sums()}
    for each in hostile:
        responder.respond(data(each), seen, stream=False)
    new = {tuple(labels) for labels, _ in counts.sums()} - before
    assert not [label for labels in new for label in labels if label in hostile]
    assert {labels[0] for labels in new} <= {counters.RESPONSES, counters.SIZES, counters.SECONDS}


def test_X9_a_restart_keeps_bare_names_here_as_before() -> None:
    asking = replace(ANN, dns=sandbox.DnsSettings(options=("ndots:1",)))
    state = at(*TOWN[:2], asking, BOB, *TOWN[4:])
    views = [desired.desired(state, NODE, DaemonDns()).snapshot.views[ANN.id] for _ in range(2)]
    assert views[0] == views[1]
    reply = ask(state, "nobody", of=asking)
    assert reply is not None
    assert reply.rcode() == dns.rcode.NXDOMAIN
    assert ask(state, "nobody.example", of=asking) is None
