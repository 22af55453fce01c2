"""Marks in front of IPVS as requests."""

from collections.abc import Iterable
from ipaddress import ip_address

from lb.kernel.ipvs_front import Front, changes, frame_of, rebuild
from sdd.linux import netlink
from sdd.linux.netlink import Message

WEB, WEB6 = ip_address("10.77.0.200"), ip_address("fd77::200")
FRONT = Front(vip=WEB, number=3, is_up=True)
_NEW, _DELETE, _REMOVE = (10 << 8 | each for each in (12, 14, 2))
Written = dict[tuple[int, str], dict[bytes, bytes]]


def written(messages: Iterable[Message]) -> Written:
    """(request, set) → key → data."""
    found: Written = {}
    for kind, _, body in messages:
        attributes = netlink.attributes(body[4:])
        those = found.setdefault((kind, netlink.to_text(attributes[2])), {})
        for _, one in netlink.walk(attributes[3]):
            parts = netlink.attributes(one)
            data = netlink.attributes(parts.get(2, b"")).get(1, b"")
            those[netlink.attributes(parts[1])[1]] = data
    return found


def test_streams_and_datagrams_have_marks_of_their_own() -> None:
    assert (FRONT.stream, FRONT.datagram) == (0x5D000006, 0x5D000007)
    marks = written(changes({}, {WEB: FRONT}, (WEB,)))[_NEW, "mark4"]
    assert {key: netlink.to_int(data) for key, data in marks.items()} == {
        WEB.packed + bytes((6, 0, 0, 0)): FRONT.stream,
        WEB.packed + bytes((132, 0, 0, 0)): FRONT.stream,
        WEB.packed + bytes((17, 0, 0, 0)): FRONT.datagram,
    }


def test_only_what_is_up_answers_pings_and_leads_to_ipvs() -> None:
    down = Front(vip=WEB6, number=3, is_up=False)
    found = written(changes({}, {WEB6: down}, (WEB6,)))
    assert found.keys() == {(_NEW, "own6"), (_NEW, "number6")}
    assert found[_NEW, "own6"] == {WEB6.packed: b""}
    assert netlink.to_int(found[_NEW, "number6"][WEB6.packed]) == 3


def test_what_agrees_is_no_request_and_what_goes_is_deleted_by_its_key() -> None:
    assert list(changes({WEB: FRONT}, {WEB: FRONT}, (WEB,))) == []
    gone = written(changes({WEB: FRONT}, {}, (WEB,)))
    assert gone.keys() == {(_DELETE, each) for each in ("own4", "number4", "mark4", "up4")}
    assert {data for those in gone.values() for data in those.values()} == {b""}


def test_a_rebuild_removes_makes_the_frame_and_fills_it() -> None:
    frame = (Message(10 << 8, 0, b"frame"),)
    removal, first, *rest = rebuild({WEB: FRONT}, frame, is_there=True)
    assert (removal.kind, first) == (_REMOVE, frame[0])
    assert {each.kind for each in rest} == {_NEW}
    assert next(rebuild({WEB: FRONT}, frame, is_there=False)) == frame[0]


def test_the_frame_of_a_place_that_balances_for_others_looks_at_its_uplink() -> None:
    assert "ing0" not in frame_of("")
    assert 'iifname "ing0"' in frame_of("ing0")
