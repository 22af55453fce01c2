"""Views and names share what they have in common, and say what they said before."""

import msgspec

from resolver import alike, protocol
from resolver.message import wire

VIEW = protocol.View(
    sandbox="one",
    digest="1",
    tables=["net"],
    suffixes=[b"\x03net\0"],
    own={b"\x01h\0": {wire.A: [b"record"]}},
    upstreams=[protocol.Upstream("192.0.2.1", 53, inside=True)],
    search=[b"\x03lab\0"],
)


def test_views_of_different_sandboxes_share_all_but_whose_they_are() -> None:
    one = alike.view(VIEW)
    other = alike.view(msgspec.structs.replace(VIEW, sandbox="other", digest="2"))
    assert one == VIEW
    assert (other.sandbox, other.digest) == ("other", "2")
    assert other.suffixes is one.suffixes
    assert other.own is one.own
    assert other.upstreams is one.upstreams


def test_views_that_see_something_else_share_nothing() -> None:
    other = alike.view(msgspec.structs.replace(VIEW, tables=["other"]))
    assert other.tables == ["other"]
    assert alike.view(VIEW).tables == ["net"]


def test_names_that_have_one_entry_are_told_together() -> None:
    one: protocol.Entry = {wire.A: [b"1"]}
    names = {b"a": one, b"b": one, b"c": {wire.A: [b"1"]}, b"d": {}}
    told = list(alike.groups(names))
    assert told == [([b"a", b"b"], one), ([b"c"], {wire.A: [b"1"]}), ([b"d"], {})]
