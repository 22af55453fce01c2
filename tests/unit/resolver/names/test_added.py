"""Added records through the whole middle: from the state to the bytes, read back by dnspython."""

from dataclasses import replace
from ipaddress import ip_address

import dns.flags
import dns.message
import dns.rcode
import dns.reversename
import pytest

from resolver import counters, protocol
from resolver.desired import desired
from resolver.files.upstreams import DaemonDns
from resolver.listen import respond
from resolver.message import wire
from resolver.names import answer, table
from resolver.worker import inquiry
from sdd.model import ids, record
from sdd.model.nameserver import Nameserver
from sdd.model.port import Port, Protocol
from sdd.state import ClusterState, Object, Put
from tests.unit.resolver.questions import NODE, at, box, data, end, net, query, svc

LAB, OUT = net("lab"), net("out", "10.2.0.0/24")
C = box("c")
C_LAB, C_OUT = end(C, LAB, "10.1.0.2/24"), end(C, OUT, "10.2.0.2/24")


def added(text: str, on: str = LAB.id) -> record.Record:
    name, kind, what = text.split(maxsplit=2)
    return record.Record(
        id=ids.RecordId(f"{on} {text}"),
        network=ids.NetworkId(on),
        name=name,
        kind=record.RecordType(kind),
        data=what,
    )


def town(*texts: str) -> ClusterState:
    return at(LAB, OUT, C, C_LAB, C_OUT, *map(added, texts))


def more(state: ClusterState, value: Object) -> ClusterState:
    return state.apply(ids.Revision(8), [Put(value)])


def scope(state: ClusterState) -> answer.Scope:
    built = desired(state, NODE, DaemonDns()).snapshot
    view = built.views[C.id]
    return answer.Scope.of(view, [dict(built.tables[each].names) for each in view.tables])


def ask(state: ClusterState, name: str, kind: str = "A") -> dns.message.Message:
    responder = respond.Responder(counters.Counters(), lambda _: 0)
    said = responder.respond(data(name, kind), scope(state), stream=False)
    assert isinstance(said, respond.Said), "forwarded"
    return dns.message.from_wire(said.reply)


def answers(state: ClusterState, name: str, kind: str = "A") -> list[str]:
    return [text for each in ask(state, name, kind).answer for text in each.to_text().split("\n")]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("db A 10.1.0.9", "5 IN A 10.1.0.9"),
        ("db AAAA fd00::9", "5 IN AAAA fd00::9"),
        ("db SRV 1 2 8080 c", "5 IN SRV 1 2 8080 c.lab."),
        ("db SRV 0 0 0 .", "5 IN SRV 0 0 0 ."),
        ("db CNAME elsewhere.example", "5 IN CNAME elsewhere.example."),
        ("db TXT hello world", '5 IN TXT "hello world"'),
        (f"db TXT {'x' * 300}", f'5 IN TXT "{"x" * 255}" "{"x" * 45}"'),
    ],
)
def test_every_type_is_answered_bare_and_below_its_network(text: str, wanted: str) -> None:
    kind = text.split()[1]
    for name in ("db", "DB.LAB"):
        assert answers(town(text), name, kind) == [f"{name}. {wanted}"]


def test_another_type_of_it_is_nodata_and_never_forwarded() -> None:
    said = ask(town("db A 10.1.0.9"), "db", "AAAA")
    assert (said.rcode(), said.answer) == (dns.rcode.NOERROR, [])
    assert said.authority


def test_an_alias_is_followed_through_our_names() -> None:
    state = town("one CNAME two.lab", "two CNAME c")
    assert answers(state, "one") == [
        "one. 5 IN CNAME two.lab.",
        "two.lab. 5 IN CNAME c.lab.",
        "c.lab. 5 IN A 10.1.0.2",
    ]
    assert answers(state, "one", "CNAME") == ["one. 5 IN CNAME two.lab."]
    nothing = ask(state, "one", "AAAA")
    assert [each.rdtype for each in nothing.answer] == [wire.CNAME, wire.CNAME]
    assert nothing.authority
    assert nothing.rcode() == dns.rcode.NOERROR


def test_an_alias_out_of_our_names_says_whom_to_ask_for() -> None:
    seen = scope(town("one CNAME two", "two CNAME www.example"))
    found = answer.answer(query("one"), seen)
    assert found is not None
    assert (found.onward, len(found.path)) == (wire.to_wire("www.example"), 2)
    plain = answer.answer(query("one", "CNAME"), seen)
    assert plain is not None
    assert (plain.onward, len(plain.records)) == (b"", 1)


def test_an_alias_to_nothing_below_our_network_does_not_exist() -> None:
    said = ask(town("one CNAME nobody.lab"), "one")
    assert said.rcode() == dns.rcode.NXDOMAIN  # RFC 6604 §3: of the last name
    assert said.answer


def test_aliases_in_a_circle_are_servfail() -> None:
    state = town("one CNAME two", "two CNAME one", "*.x CNAME y.x")
    assert ask(state, "one").rcode() == dns.rcode.SERVFAIL
    assert ask(state, "a.x").rcode() == dns.rcode.SERVFAIL


def test_as_many_aliases_as_we_follow_and_not_one_more() -> None:
    chain = [f"n{at} CNAME n{at + 1}" for at in range(answer.MOST_ALIASES)]
    last = f"n{answer.MOST_ALIASES} A 10.1.0.9"
    assert len(answers(town(*chain, last), "n0")) == answer.MOST_ALIASES + 1
    over = "m CNAME n0"
    assert ask(town(*chain, last, over), "m").rcode() == dns.rcode.SERVFAIL


def test_a_wildcard_stands_for_what_nobody_has() -> None:
    state = town(
        "*.apps A 10.1.0.9", "own.apps TXT x", "*.sub.apps A 10.1.0.8", "a.b.ent.apps A 10.1.0.7"
    )
    assert answers(state, "any.apps") == ["any.apps. 5 IN A 10.1.0.9"]
    assert answers(state, "ANY.other.apps.lab") == ["ANY.other.apps.lab. 5 IN A 10.1.0.9"]
    assert answers(state, "x.sub.apps") == ["x.sub.apps. 5 IN A 10.1.0.8"]
    assert answers(state, "own.apps") == []
    assert ask(state, "any.apps", "TXT").authority
    # RFC 4592 §2.2.2: a name that exists only by what is below it takes no wildcard.
    assert answers(state, "ent.apps") == answers(state, "b.ent.apps") == []
    assert ask(state, "x.own.apps.lab").rcode() == dns.rcode.NXDOMAIN


def test_the_name_of_the_wildcard_itself_is_not_meant() -> None:
    found = answer.answer(query("apps"), scope(town("*.apps A 10.1.0.9")))
    assert found is None


def test_any_networks_own_name_comes_before_every_wildcard() -> None:
    state = more(town("*.x A 10.1.0.9"), added("a.x A 10.2.0.9", OUT.id))
    assert answers(state, "a.x") == ["a.x. 5 IN A 10.2.0.9"]
    assert answers(state, "b.x") == ["b.x. 5 IN A 10.1.0.9"]


def test_whoever_has_the_name_keeps_it_and_text_may_stand_beside() -> None:
    state = town(
        "c A 10.1.0.66", "c CNAME x", "c TXT hello", "api A 10.1.0.66", "tasks.api A 10.1.0.66"
    )
    state = more(state, svc("api", LAB))
    assert answers(state, "c") == ["c. 5 IN A 10.1.0.2"]
    assert answers(state, "c", "TXT") == ['c. 5 IN TXT "hello"']
    assert answers(state, "api") == answers(state, "tasks.api") == []


def test_equal_states_have_equal_tables_in_whatever_order_records_came() -> None:
    texts = ("db A 10.1.0.9", "db A 10.1.0.8", "*.x A 10.1.0.7", "db TXT x")
    one, two = town(*texts), town(*reversed(texts))
    assert table.table(one, LAB, 5).names == table.table(two, LAB, 5).names


def test_the_trace_says_alias_and_wildcard() -> None:
    seen = scope(town("one CNAME c", "*.apps A 10.1.0.9"))
    assert list(inquiry._decisions(query("one"), seen)) == [
        protocol.Step(f"network {LAB.id}", "has it, as an alias of c.lab.")
    ]
    assert list(inquiry._decisions(query("a.apps"), seen))[-1] == protocol.Step(
        f"network {LAB.id}",
        "has it, as *.apps. with 1 record of this type",
    )


@pytest.mark.parametrize(
    ("name", "kind", "zone"),
    [
        ("nosuch.lab", "A", "lab."),
        ("y.z.lab", "A", "lab."),
        ("_nope._tcp.c.lab", "SRV", "lab."),
        ("99.0.1.10.in-addr.arpa", "PTR", "0.1.10.in-addr.arpa."),
        ("lab", "SOA", "lab."),
        ("lab", "A", "lab."),
        ("_nope._tcp.c", "SRV", ""),  # the bare name is in no zone
        ("x.local", "A", ""),
        ("localhost", "A", ""),
    ],
)
def test_the_trace_says_in_which_zone_of_a_network_a_name_is_not(
    name: str, kind: str, zone: str
) -> None:
    steps = list(inquiry._decisions(query(name, kind), scope(town("x.y.z A 10.1.0.9"))))
    zones = [each.text for each in steps if each.stage == protocol.OWN_ZONE]
    assert zones == ([zone] if zone else [])


def beside(state: ClusterState, name: str, **options: object) -> tuple[dns.message.Message, int]:
    responder = respond.Responder(counters.Counters(), lambda _: 0)
    said = responder.respond(data(name, "SRV", **options), scope(state), stream=False)
    assert isinstance(said, respond.Said)
    return dns.message.from_wire(said.reply), len(said.reply)


def test_A8_16_an_srv_answer_brings_the_addresses_of_its_target() -> None:
    state = town("_http._tcp.api SRV 0 1 80 db", "db A 10.1.0.9", "db AAAA fd00::9")
    said, _ = beside(state, "_http._tcp.api.lab")
    assert [each.to_text() for each in said.answer] == [
        "_http._tcp.api.lab. 5 IN SRV 0 1 80 db.lab."
    ]
    assert [each.to_text() for each in said.additional] == [
        "db.lab. 5 IN A 10.1.0.9",
        "db.lab. 5 IN AAAA fd00::9",
    ]


def test_of_targets_that_others_own_nothing_is_told() -> None:
    said, _ = beside(town("_s._tcp.x SRV 0 1 80 www.example", "_s._tcp.x SRV 0 0 0 ."), "_s._tcp.x")
    assert not said.additional
    assert not said.flags & dns.flags.TC


@pytest.mark.parametrize(("payload", "limit"), [(None, 512), (512, 512), (1232, 1232)])
def test_addresses_beside_are_whole_and_what_does_not_fit_is_not_missed(
    payload: int | None, limit: int
) -> None:
    addresses = [f"db A 10.1.{at // 200}.{at % 200 + 1}" for at in range(100)]
    state = town("_s._tcp.x SRV 0 1 80 db", *addresses)
    options = {} if payload is None else {"use_edns": 0, "payload": payload}
    said, size = beside(state, "_s._tcp.x", **options)
    (answered,) = said.answer
    assert len(answered) == 1
    assert limit - 20 <= size <= limit
    assert 15 < sum(len(each) for each in said.additional) < 100
    assert not said.flags & dns.flags.TC
    assert (said.edns >= 0) is (payload is not None)


def test_srv_records_themselves_that_do_not_fit_are_cut_whole_and_told() -> None:
    state = town(*(f"_s._tcp.x SRV 0 1 {at} db" for at in range(1, 90)), "db A 10.1.0.9")
    said, size = beside(state, "_s._tcp.x")
    assert size <= 512
    assert said.flags & dns.flags.TC
    assert 10 < len(said.answer[0]) < 89
    assert not said.additional


def test_C13_an_unknown_service_of_a_host_of_ours_does_not_exist() -> None:
    for name in ("_nope._tcp.c", "_http._udp.c", "_tcp.c"):
        assert ask(town(), name, "SRV").rcode() == dns.rcode.NXDOMAIN, name
    for name in ("_http._tcp.example", "_tcp.example", "x._tcp.c", "_dmarc.c"):
        assert answer.answer(query(name, "SRV"), scope(town())) is None, name


def test_U20_added_addresses_have_pointers_behind_those_of_objects() -> None:
    state = town(
        "db A 10.9.0.9", "zz A 10.9.0.9", "db AAAA fd00::9", "c2 A 10.1.0.2", "*.w A 10.9.0.8"
    )
    reverse = dns.reversename.from_address
    assert answers(state, str(reverse("10.9.0.9")), "PTR") == [
        "9.0.9.10.in-addr.arpa. 5 IN PTR db.lab."
    ]
    assert answers(state, str(reverse("fd00::9")), "PTR")[0].endswith(" PTR db.lab.")
    assert answers(state, str(reverse("10.1.0.2")), "PTR")[0].endswith(" PTR c.lab.")
    assert ask(state, str(reverse("10.9.0.8")), "PTR").rcode() == dns.rcode.NXDOMAIN
    shadowed = town("c A 10.9.0.7")
    assert ask(shadowed, str(reverse("10.9.0.7")), "PTR").rcode() == dns.rcode.NXDOMAIN


def test_names_above_others_exist_without_records() -> None:
    state = town("x.y.z A 10.1.0.9", "_http._tcp.c TXT x")
    port = Port(protocol=Protocol.TCP, target=80, published=80)
    state = more(state, svc("api", LAB, ports=(port,)))
    for name in ("y.z.lab", "z.lab", "lab", "_tcp.c", "_tcp.c.lab", "_tcp.api", "_tcp.api.lab"):
        for kind in ("A", "SRV", "ANY"):
            said = ask(state, name, kind)
            assert said.rcode() == dns.rcode.NOERROR, name
            assert (not said.answer) is (name != "lab" or kind != "ANY"), name
            assert said.authority or said.answer
    for name in ("x.lab", "a.z.lab", "_udp.api", "_udp.api.lab", "_tcp.nobody.lab"):
        assert ask(state, name).rcode() == dns.rcode.NXDOMAIN, name
    assert answer.answer(query("y.z"), scope(state)) is None  # bare, it may be somebody's domain


def test_who_only_has_names_below_a_name_does_not_take_it() -> None:
    holder = box("holder")
    its = end(holder, LAB, "10.1.0.7/24", aliases=("shop.lab", "a.b"))
    state = more(town(), holder)
    for value in (its, svc("x.shop", LAB, vips=(ip_address("10.1.0.99"),)), svc("q.a.b", LAB)):
        state = more(state, value)
    assert answers(state, "shop.lab") == ["shop.lab. 5 IN A 10.1.0.7"]
    assert answers(state, "a.b.lab") == ["a.b.lab. 5 IN A 10.1.0.7"]
    state = more(state, added("b A 10.1.0.8"))
    assert answers(state, "b.lab") == ["b.lab. 5 IN A 10.1.0.8"]


def test_a_network_that_forwards_what_it_does_not_know_has_nothing_between() -> None:
    on = replace(net("lab"), options={"forward-unknown": "true"})
    its = end(C, on, "10.1.0.2/24", aliases=("x.y.z",))
    built = desired(at(on, C, its), NODE, DaemonDns(servers=(ROOT,))).snapshot
    seen = answer.Scope.of(built.views[C.id], [dict(each.names) for each in built.tables.values()])
    assert answer.answer(query("y.z.lab"), seen) is None


def test_no_data_of_a_name_below_a_network_names_the_networks_zone() -> None:
    (start,) = ask(town(), "c.lab", "MX").authority
    assert start.name.to_text() == "lab."
    (start,) = ask(town(), "c", "MX").authority
    assert start.name.to_text() == "c."


ROOT = Nameserver(address=ip_address("192.0.2.53"))


def in_network(name: str, *upstreams: Nameserver, forward: bool = False) -> answer.Scope:
    on = replace(net(name), options={"forward-unknown": "true"} if forward else {})
    its = end(C, on, "10.1.0.2/24")
    built = desired(at(on, C, its), NODE, DaemonDns(servers=upstreams)).snapshot
    return answer.Scope.of(built.views[C.id], [dict(each.names) for each in built.tables.values()])


@pytest.mark.parametrize("name", ["com", "COM", "lab", "example.com", "arpa", "xn--p1ai"])
def test_a_network_that_forwards_what_it_does_not_know_hides_no_names(name: str) -> None:
    seen = in_network(name, ROOT, forward=True)
    for asked in (f"x.{name}", f"www.x.{name}", name):
        assert answer.answer(query(asked), seen) is None, asked
    found = answer.answer(query(f"c.{name}"), seen)
    assert found is not None
    assert found.records


@pytest.mark.parametrize("name", ["lab", "internal", "com", "dev", "corp", "example.com"])
def test_A8_20_below_any_network_unknown_names_do_not_exist(name: str) -> None:
    found = answer.answer(query(f"x.{name}"), in_network(name, ROOT))
    assert found is not None
    assert found.rcode == wire.Rcode.NXDOMAIN


def test_who_can_ask_nobody_hears_nxdomain_below_any_network() -> None:
    found = answer.answer(query("x.com"), in_network("com", forward=True))
    assert found is not None
    assert found.rcode == wire.Rcode.NXDOMAIN
