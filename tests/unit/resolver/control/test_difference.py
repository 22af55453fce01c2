"""What a worker is told: only what it lacks, in a safe order, in pieces that fit."""

from collections.abc import Iterable

from resolver import protocol
from resolver.control import difference
from resolver.control.snapshot import Snapshot
from resolver.message import wire
from resolver.names.table import Table
from resolver.names.unread import Unread
from sdd.model import ids

BLANK = protocol.Inventory(
    release=protocol.RELEASE, pid=1, revision=0, tables={}, views={}, listeners={}
)
LISTENING = protocol.Listening(inode=1, udp_port=1, tcp_port=2)


def view(sandbox: str, digest: str, *tables: str) -> protocol.View:
    return protocol.View(
        sandbox=sandbox,
        digest=digest,
        tables=list(tables),
        suffixes=[],
        own={},
        upstreams=[],
    )


def snap(tables: dict[str, Table], *views: protocol.View) -> Snapshot:
    return Snapshot(ids.Revision(1), tables, {each.sandbox: each for each in views})


def test_a_new_worker_gets_tables_before_views() -> None:
    table = Table("d", {b"\1a\0": {1: [b"x"]}})
    told = list(difference.messages(BLANK, snap({"t": table}, view("s", "v", "t"))))
    assert [type(each) for each in told] == [
        protocol.TablePart,
        protocol.TableEnd,
        protocol.View,
    ]


def test_nothing_is_told_to_who_has_it_all() -> None:
    want = snap({"t": Table("d", {})}, view("s", "v", "t"))
    have = difference.after(BLANK, want)
    assert list(difference.messages(have, want)) == []


def test_what_is_gone_comes_last_and_covers_listeners_without_a_view() -> None:
    have = protocol.Inventory(
        release=1,
        pid=1,
        revision=1,
        tables={"t": "d"},
        views={"a": "v"},
        listeners={"b": LISTENING},
    )
    assert list(difference.messages(have, snap({}))) == [
        protocol.Gone("a"),
        protocol.Gone("b"),
        protocol.TableGone("t"),
    ]


def test_after_keeps_the_listeners_of_sandboxes_that_stay() -> None:
    have = protocol.Inventory(
        release=1,
        pid=1,
        revision=1,
        tables={},
        views={},
        listeners={"a": LISTENING, "b": LISTENING},
    )
    after = difference.after(have, snap({}, view("a", "v")))
    assert (after.listeners, after.views) == ({"a": LISTENING}, {"a": "v"})


def told_of(those: Iterable[protocol.ToWorker]) -> Unread:
    """What a worker knows of a table when it was told so."""
    held = Unread()
    for each in those:
        data = protocol.encode(each)
        assert len(data) <= protocol.MOST_BYTES
        match protocol.decode_to_worker(data):
            case protocol.TablePart(_, groups, further):
                held.take(groups)
                held.extend(further)
            case protocol.TableChange(_, _, _, put, _, further):
                held.take(put)
                held.extend(further)
    return held


def text(size: int, number: int) -> bytes:
    return wire.record(wire.TXT, 5, number.to_bytes(2, "big") + bytes(size - 2))


SETS: protocol.Entry = {
    wire.TXT: [text(2000, number) for number in range(32)],
    wire.SRV: [wire.record(wire.SRV, 5, bytes((number, *bytes(200)))) for number in range(250)],
    wire.A: [wire.record(wire.A, 5, number.to_bytes(4, "big")) for number in range(4000)],
}


def test_sets_that_fit_an_answer_each_are_told_whole_however_long_they_are_together() -> None:
    assert told_of(difference.table_parts("t", {b"\1a\0": SETS})).get(b"\1a\0") == SETS


def test_a_change_tells_sets_whole_as_well_and_in_place_of_those_before() -> None:
    put: protocol.Names = {b"\1a\0": SETS, b"\1b\0": {wire.A: []}}
    table = Table("e", put, base="d", put=put)
    has = difference.after(BLANK, snap({"t": Table("d", {})}))
    told = list(difference.messages(has, snap({"t": table})))
    assert {type(each) for each in told} == {protocol.TableChange}
    held = told_of((*told, *told))
    assert {name: held.get(name) for name in held} == put


def test_of_a_set_that_no_answer_takes_more_is_told_than_one_takes() -> None:
    """So the worker itself sees that what it says is not the whole set, and says it (TC)."""
    names: protocol.Names = {
        b"\1a\0": {
            wire.A: [wire.record(wire.A, 5, number.to_bytes(4, "big")) for number in range(9000)],
            wire.TXT: [text(2000, number) for number in range(100)],
        }
    }
    entry = told_of(difference.table_parts("t", names)).get(b"\1a\0", {})
    for kind, most in ((wire.A, 4096), (wire.TXT, 33)):
        assert most <= len(entry[kind]) <= most + 1
        assert entry[kind] == names[b"\1a\0"][kind][: len(entry[kind])]
        query = wire.Query(b"\1a\0", kind, wire.IN, 12 + 7, 512, False, False)
        reply = wire.respond(bytes(12) + b"\1a\0\0\1\0\1", query, 0, entry[kind], stream=True)
        assert len(reply) <= wire.STREAM_LIMIT
        assert reply[2] & 2, "TC"


def test_many_names_with_more_records_than_a_message_takes_are_told_whole() -> None:
    entry: protocol.Entry = {wire.A: SETS[wire.A], wire.TXT: SETS[wire.TXT]}
    names = dict.fromkeys([each.to_bytes(250, "big") for each in range(200)], entry)
    held = told_of(difference.table_parts("t", names))
    assert {name: held.get(name) for name in held} == names


def test_more_names_of_one_entry_than_a_message_takes_are_told_in_several() -> None:
    entry: protocol.Entry = {1: [b"x"]}
    names = dict.fromkeys([each.to_bytes(200, "big") for each in range(1000)], entry)
    parts = list(difference.table_parts("t", names))
    assert len(parts) > 2
    together: protocol.Names = {}
    for part in parts:
        assert len(protocol.encode(part)) <= protocol.MOST_BYTES
        together |= {name: entry for those, entry in part.groups for name in those}
    assert together == names


def test_a_change_that_one_message_does_not_take_is_told_in_several() -> None:
    long = [each.to_bytes(255, "big") for each in range(500)]
    names: protocol.Names = {bytes((at,)): {16: [bytes(60_000)]} for at in (1, 2)}
    beside: protocol.Names = {b"%d" % each: {1: []} for each in range(1000)}
    table = Table("e", names | beside, base="d", put=names, gone=long)
    has = difference.after(BLANK, snap({"t": Table("d", {})}))
    held = dict.fromkeys(long, True)
    base = "d"
    for each in difference.messages(has, snap({"t": table})):
        assert isinstance(each, protocol.TableChange)
        assert len(protocol.encode(each)) <= protocol.MOST_BYTES
        assert each.base == base
        base = each.digest
        held |= {name: True for those, _ in each.put for name in those}
        held = {name: True for name in held if name not in each.gone}
    assert base == "e"
    assert held.keys() == names.keys()


def test_what_is_more_than_the_table_is_the_whole_table() -> None:
    has = difference.after(BLANK, snap({"t": Table("d", {})}))
    many = [b"%d" % each for each in range(300)]
    table = Table("e", {b"a": {}}, base="d", put={b"a": {}}, gone=many)
    told = list(difference.messages(has, snap({"t": table})))
    assert [type(each) for each in told] == [protocol.TablePart, protocol.TableEnd]
    few = Table("e", {b"a": {}}, base="d", put={b"a": {}}, gone=[b"x", b"y"])
    assert list(difference.messages(has, snap({"t": few}))) == [
        protocol.TableChange("t", "d", "e", [([b"a"], {})], [b"x", b"y"])
    ]
