"""Names as the worker holds them say what they were sent to say."""

import gc

import msgspec
import pytest

from resolver import protocol
from resolver.message import wire
from resolver.names.unread import Unread

ENTRY: protocol.Entry = {wire.A: [b"one", b"two"], wire.TXT: [b"three"]}


def sent(*groups: protocol.Group) -> Unread:
    """As they come out of a message."""
    told = protocol.decode_to_worker(protocol.encode(protocol.TablePart("t", list(groups))))
    assert isinstance(told, protocol.TablePart)
    held = Unread()
    held.take(told.groups)
    return held


def test_what_a_name_says_is_read_when_it_is_asked_for_and_once() -> None:
    held = sent(([b"a", b"b"], ENTRY), ([b"c"], {}))
    assert b"a" in held
    found = held.get(b"a")
    assert found == ENTRY
    assert held.get(b"a") is found
    assert held.get(b"b") == ENTRY
    assert held.get(b"c") == {}
    assert held.get(b"d") is None
    assert held.get(b"d", 7) == 7


def test_a_name_is_replaced_and_goes_read_or_not() -> None:
    held = sent(([b"a", b"b"], ENTRY))
    assert held.get(b"a")
    for name in (b"a", b"b"):
        held.pop(name)
        assert held.get(name) is None
    held.take([([b"a"], msgspec.Raw(msgspec.msgpack.encode({wire.A: [b"new"]})))])
    assert held.get(b"a") == {wire.A: [b"new"]}


def test_what_is_not_read_is_no_work_for_a_search_for_garbage() -> None:
    held = sent(([b"a"], ENTRY))
    assert [gc.is_tracked(each) for each in dict.values(held)] == [False]


def test_what_says_something_else_is_an_error_when_it_is_read() -> None:
    held = Unread()
    held.take([([b"a"], msgspec.Raw(msgspec.msgpack.encode("no entry")))])
    with pytest.raises(msgspec.ValidationError):
        held.get(b"a")
