"""Messages of the kernel about links → which cable is how."""

import socket
import struct

from lb.cable import Cable
from lb.kernel.carriers import Links

NEW, DELETE, ROUTE = 16, 17, 24
UP = 1 << 16


def link(
    name: str, index: int, flags: int = UP, family: int = socket.AF_UNSPEC, kind: int = NEW
) -> tuple[int, bytes]:
    raw = name.encode() + b"\0"
    attribute = struct.pack("=HH", 4 + len(raw), 3) + raw
    body = struct.pack("=BxHiII", family, 1, index, flags, 0)
    return kind, body + attribute + bytes(-len(attribute) % 4)


def test_what_is_as_before_is_no_news() -> None:
    links = Links()
    assert links.all([link("a", 1), link("b", 2, 0)]) == {"a": Cable.UP, "b": Cable.DOWN}
    assert links.heard([link("a", 1), link("b", 2, 0), (ROUTE, bytes(99))]) == {}
    assert links.heard([link("a", 1, 0)]) == {"a": Cable.DOWN}
    assert links.heard([link("a", 1, 0), link("a", 1)]) == {"a": Cable.UP}


def test_one_that_is_gone_or_has_another_name_is_gone() -> None:
    links = Links()
    links.all([link("a", 1), link("b", 2)])
    assert links.heard([link("c", 1)]) == {"a": Cable.GONE, "c": Cable.UP}
    assert links.heard([link("b", 2, kind=DELETE)]) == {"b": Cable.GONE}
    assert links.heard([link("b", 3, 0)]) == {"b": Cable.DOWN}


def test_a_link_that_leaves_its_bridge_is_there_as_before() -> None:
    links = Links()
    links.all([link("a", 1)])
    assert links.heard([link("a", 1, family=socket.AF_BRIDGE, kind=DELETE)]) == {}
    assert links.heard([link("a", 1, 0, family=socket.AF_BRIDGE)]) == {}


def test_what_another_look_does_not_show_is_gone() -> None:
    links = Links()
    links.all([link("a", 1), link("b", 2)])
    assert links.all([link("b", 2, 0)]) == {"a": Cable.GONE, "b": Cable.DOWN}


def test_what_is_no_message_of_a_link_is_passed_over() -> None:
    links = Links()
    whole = link("a", 1)[1]
    assert links.heard([(NEW, whole[:10]), (NEW, whole[:16])]) == {}
