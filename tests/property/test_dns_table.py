"""A network's table made step by step is the one made at once, here and at the worker."""

from collections.abc import Iterable
from ipaddress import ip_address

import dns.reversename
from hypothesis import example, given, settings
from hypothesis import strategies as st

from resolver import protocol
from resolver.control import difference
from resolver.control.snapshot import Snapshot
from resolver.message import wire
from resolver.names import added, answer, records, table
from sdd import affected
from sdd.model import endpoint, health, ids, record, service
from sdd.model.port import Port
from sdd.state import Change, ClusterState, Gone, Object, Put
from tests import resolver_states as states
from tests.unit.resolver.questions import query

NET = states.net("front")
BOXES, SERVICES, WORDS = ("a", "b", "c"), ("a", "s"), ("a", "x", "s", "x.a", "b.s.x", "_s._p.y")
ODD = (
    *("*.x", "*.b.s.x", "_s._tcp.x", "_s._tcp.a", "_1._2._3.s", "_2._3.s", "_p.y", "c.b.s.x"),
    *("7.2.0.192.in-addr.arpa", "*.44.10.in-addr.arpa", "y.7.2.0.192.in-addr.arpa", "*.front"),
)
A, TXT = record.RecordType.A, record.RecordType.TXT
CHECK = service.HealthCheck(kind=service.CheckKind.TCP, port=1)


def _plug(box: str, last: int, alias: str) -> endpoint.Endpoint:
    return states.plug(box, "front", f"10.44.1.{last}/24", aliases=(alias,))


def _service(name: str, alias: str, *, vip: bool) -> service.Service:
    return service.Service(
        id=ids.ServiceId(states.identity(f"service {name}")),
        name=name,
        network=NET.id,
        number=1,
        vips=(ip_address("10.44.1.200"),) if vip else (),
        mode=service.EndpointMode.VIP if vip else service.EndpointMode.DNSRR,
        aliases=(alias,),
        ports=(Port(published=8080, target=80),),
        health=CHECK,
    )


def _member(name: str, box: str) -> service.Member:
    end = _plug(box, 9, "")
    return service.Member(
        service=_service(name, "", vip=True).id,
        endpoint=end.id,
        sandbox=end.sandbox,
        node=states.NODE,
    )


def _record(name: str, kind: record.RecordType) -> record.Record:
    return _leading(name, kind, "192.0.2.7" if kind is record.RecordType.A else "hello")


def _leading(name: str, kind: record.RecordType, data: str) -> record.Record:
    return record.Record(
        id=ids.RecordId(states.identity(f"record {name} {kind} {data}")),
        network=NET.id,
        name=name,
        kind=kind,
        data=data,
    )


def _come_and_go(values: st.SearchStrategy[Object]) -> st.SearchStrategy[Change]:
    def change(value: Object, stays: bool) -> Change:
        if stays:
            return Put(value)
        if isinstance(value, service.Member | health.Verdict):
            return Gone(type(value), (value.service, value.endpoint))
        return Gone(type(value), value.id)

    return st.builds(change, values, st.booleans())


def _verdict(name: str, box: str, status: health.Status) -> health.Verdict:
    of = _member(name, box)
    return health.Verdict(service=of.service, endpoint=of.endpoint, status=status)


box, words, names = st.sampled_from(BOXES), st.sampled_from(WORDS), st.sampled_from(SERVICES)
CHANGES = st.one_of(
    _come_and_go(st.builds(_plug, box, st.integers(2, 4), words)),
    st.builds(lambda name, host: Put(states.box(name, hostname=host)), box, words),
    _come_and_go(st.builds(lambda n, a, v: _service(n, a, vip=v), names, words, st.booleans())),
    _come_and_go(st.builds(_member, names, box)),
    _come_and_go(st.builds(_verdict, names, box, st.sampled_from(health.Status))),
    _come_and_go(
        st.builds(
            lambda name, kind: _record(name, TXT if name.startswith("_") else kind),
            st.sampled_from((*WORDS, *ODD)),
            st.sampled_from((record.RecordType.A, record.RecordType.TXT)),
        )
    ),
    _come_and_go(
        st.builds(
            lambda name, target: _leading(name, record.RecordType.SRV, f"0 0 1 {target}"),
            st.sampled_from(WORDS),
            st.sampled_from((*WORDS, "y.x", "x.a.front", "localhost", "www.example")),
        )
    ),
)
START = [Put(NET), *(Put(states.box(name)) for name in BOXES)]


def _whole(now: ClusterState) -> ClusterState:
    """Without members that lead nowhere: no transaction leaves such."""
    lost = [
        Gone(service.Member, key)
        for key in now.members
        if key[0] not in now.services or key[1] not in now.endpoints
    ]
    return now.apply(now.revision, lost)


def _obeyed(held: protocol.Names, those: Iterable[protocol.ToWorker]) -> protocol.Names:
    """What a worker makes of them."""
    coming: protocol.Names = {}
    for told in those:
        match told:
            case protocol.TablePart(_, groups):
                coming |= {name: entry for those, entry in groups for name in those}
            case protocol.TableEnd():
                held, coming = coming, {}
            case protocol.TableChange():
                held = {name: held[name] for name in held.keys() - set(told.gone)}
                held |= {name: entry for those, entry in told.put for name in those}
            case _:
                raise AssertionError(told)
    return held


def _all_put(made: table.Table, now: ClusterState) -> protocol.Names:
    """The names of objects with all records put on top of them, with no regard to what it costs."""
    assert made.memory
    ground, plain = made.memory.ground, dict(made.memory.plain)
    records_ = now.records_by_network.get(NET.id, ())
    names = {owner: {kind: list(found) for kind, found in plain[owner].items()} for owner in plain}
    wild: set[bytes] = set()
    backs: list[tuple[bytes, bytes]] = []
    own = plain.keys() | {wire.to_wire(each.name) for each in records_}
    below = {wire.to_wire(each.name)[2:] for each in records_ if each.is_wildcard}
    below |= {wire.to_wire(each.name)[2:-1] + ground.tail for each in records_ if each.is_wildcard}
    for each in records_:
        bare = wire.to_wire(each.name)
        owners = (bare, bare[:-1] + ground.tail)
        is_address = each.kind in record.ADDRESSING
        kind, data = added.rendered(
            each, ground.tail, lambda name: name in own or not below.isdisjoint(wire.parents(name))
        )
        for owner in owners:
            if not (is_address and (owner in plain or bare in plain)):
                entry = names.setdefault(owner, {})
                entry.setdefault(kind, []).append(wire.record(kind, ground.ttl, data))
                wild |= {owner[2:]} if owner.startswith(wire.WILDCARD) else set()
        if each.kind is A and not each.is_wildcard and bare not in plain:
            back = dns.reversename.from_address(each.data).to_wire()
            assert back is not None
            backs.append((back, owners[1]))
    for back, target in backs:
        names.setdefault(back, {wire.PTR: [wire.record(wire.PTR, ground.ttl, target)]})
    for name in (*names, ground.tail):
        above = list(wire.parents(name))
        for at, zone in enumerate(above):
            is_host = names.get(zone) and all(one[1:2] == b"_" for one in above[:at])
            if zone == ground.zone or zone in wild or is_host:
                for one in above[:at]:
                    names.setdefault(one, {})
    return names


_LEADS = _leading("a", record.RecordType.SRV, "0 0 1 y.x")
_WILD = _record("*.x", A)


@settings(max_examples=300)
@example([([Put(_LEADS)], 5), ([Put(_WILD)], 5), ([Gone(record.Record, _WILD.id)], 5)])
@given(st.lists(st.tuples(st.lists(CHANGES, min_size=1), st.integers(4, 5)), max_size=10))
def test_step_by_step_is_the_same_as_at_once(steps: list[tuple[list[Change], int]]) -> None:
    now = ClusterState().apply(ids.Revision(1), START)
    last = table.table(now, NET, 5)
    held, digest = dict(last.names), last.digest
    for number, (changes, ttl) in enumerate(steps, 2):
        before, now = now, _whole(now.apply(ids.Revision(number), changes))
        was = last
        last = table.table(now, NET, ttl, was)
        assert last == table.table(now, NET, ttl)
        reached = table.table(now, NET, ttl, was, affected.between(before, now))
        assert reached == last
        assert last.names == _all_put(last, now)
        assert last.digest != was.digest or last.names == was.names
        inventory = protocol.Inventory(
            release=1, pid=1, revision=1, tables={"t": digest}, views={}, listeners={}
        )
        held = _obeyed(held, difference.messages(inventory, Snapshot(now.revision, {"t": last})))
        digest = last.digest
        assert held == last.names


@given(st.lists(CHANGES, min_size=1, max_size=10))
def test_all_names_above_one_that_is_there_are_there(changes: list[Change]) -> None:
    now = _whole(ClusterState().apply(ids.Revision(2), [*START, *changes]))
    names = table.table(now, NET, 5).names
    view = protocol.View("s", "", [], list(records.zones(NET)), {}, [])
    scope = answer.Scope.of(view, [dict(names)])
    for owner in names:
        for name in (owner, *wire.parents(owner)):
            if name == owner or any(each in scope.zones for each in (name, *wire.parents(name))):
                found = answer.answer(query("x")._replace(name=name), scope)
                assert found, name
                assert found.rcode == wire.Rcode.NOERROR, name


def test_what_nobody_speaks_of_again_is_kept() -> None:
    ends = [_plug(name, number, "x") for number, name in enumerate(BOXES, 2)]
    one = ClusterState().apply(ids.Revision(1), [*START, *map(Put, ends)])
    first = table.table(one, NET, 5)
    two = one.apply(ids.Revision(2), [Put(states.box("stranger"))])
    assert table.table(two, NET, 5, first) is first
    three = two.apply(ids.Revision(3), [Gone(endpoint.Endpoint, ends[0].id)])
    after = table.table(three, NET, 5, first)
    assert first.memory is not None
    assert after.memory is not None
    assert all(after.memory.said[each.id] is first.memory.said[each.id] for each in ends[1:])
    assert len(after.put) == len({b"\1x\0", b"\1x\5front\0"})


def test_a_record_more_leaves_those_that_are_there_as_they_are() -> None:
    many = [_record(f"r{number}", kind) for number in range(20) for kind in (TXT, A)]
    now = ClusterState().apply(ids.Revision(1), [*START, *map(Put, many)])
    before = table.table(now, NET, 5)
    after = table.table(now.apply(ids.Revision(2), [Put(_record("new", TXT))]), NET, 5, before)
    assert after.put.keys() == {wire.to_wire("new"), wire.to_wire("new.front")}
    for name, entry in before.names.items():
        assert after.names[name] is entry
    more = _plug("a", 2, "")
    there = now.apply(ids.Revision(2), [Put(more)])
    joined = table.table(there, NET, 5, before)
    assert wire.to_wire("a") in joined.put
    for name, entry in before.names.items():
        assert joined.names[name] is entry
