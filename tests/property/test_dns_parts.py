"""Whatever the state holds, no message between sdd and a worker is longer than a datagram may be."""

from typing import TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver import counters, parts, protocol
from resolver.control import difference
from resolver.control.snapshot import Snapshot
from resolver.names.table import Table
from sdd.model import ids

Whole = TypeVar("Whole", bound=protocol.Message)
MANY = 20_000
ID = "f" * 64
LISTENING = protocol.Listening(2**63, 65535, 65535)
REACH = dict.fromkeys(protocol.Family, protocol.Outward(2**63, 16, 4))
COUNTS = st.integers(0, MANY)
BLANK = protocol.Inventory(protocol.RELEASE, 1, 0, {}, {}, {})


def identity(number: int) -> str:
    return f"{number:064x}"


def fitting(whole: Whole) -> list[Whole]:
    """Its parts, which fit and are together what they were made of."""
    made = list(parts.of(whole))
    assert all(protocol.size(each) <= protocol.MOST_BYTES for each in made)
    assert [parts.is_last(each) for each in made] == [False] * (len(made) - 1) + [True]
    assert parts.joined(made) == whole
    return made


@settings(max_examples=20)
@given(COUNTS, COUNTS, COUNTS)
def test_what_a_worker_has_is_told_in_parts_that_fit(tables: int, views: int, boxes: int) -> None:
    whole = protocol.Inventory(
        release=protocol.RELEASE,
        pid=2**31,
        revision=2**62,
        tables={identity(n): "d" * 24 for n in range(tables)},
        views={identity(n): "d" * 24 for n in range(views)},
        listeners={identity(n): LISTENING for n in range(boxes)},
        quic=True,
        outward={identity(n): REACH for n in range(boxes)},
    )
    assert len(fitting(whole)) <= parts.MOST_PARTS


@settings(max_examples=20)
@given(COUNTS, st.integers(1, 400))
def test_problems_and_decisions_fit(boxes: int, words: int) -> None:
    fitting(protocol.Applied(2**62, {identity(n): "w" * words for n in range(boxes)}))
    fitting(protocol.Explained([protocol.Step("network " + ID, "w" * words, 2**53)] * boxes))


def _full() -> list[tuple[list[str], float]]:
    """All that can be counted: each label as long and each family as large as it may be."""
    networks = [f"{n:0128x}" for n in range(counters.MOST_NETWORKS + 1)]
    rcodes = ["SERVFAIL"] * 12
    keys = [
        *((counters.REQUESTS, net, "udp", kind) for net in networks for kind in [ID] * 16),
        *((counters.RESPONSES, net, r, s) for net in networks for r in rcodes for s in [ID] * 7),
    ]
    return [(list(key), 2.0**60) for key in keys]


def test_counters_of_as_many_networks_as_there_may_be_come_in_several_parts() -> None:
    assert len(fitting(protocol.Counted(1, 0.5, _full()))) > 20


NAMES = st.dictionaries(
    st.binary(min_size=1, max_size=255),
    st.dictionaries(
        st.sampled_from([1, 28]),
        st.tuples(st.binary(min_size=14, max_size=26), st.integers(0, 6000)).map(
            lambda one: [one[0]] * one[1]
        ),
        max_size=2,
    ),
    max_size=12,
)
SERVER = protocol.Upstream(
    "fd00::1", 65535, inside=True, transport="https", name="n" * 255, path="p" * 255, ca="c" * 4000
)


@settings(max_examples=30, deadline=None)
@given(NAMES, NAMES, st.integers(0, 900), st.integers(0, 40))
def test_what_a_worker_is_told_fits_and_nothing_is_lost(
    own: protocol.Names, names: protocol.Names, nets: int, servers: int
) -> None:
    view = protocol.View(
        sandbox=ID,
        digest="d" * 24,
        tables=[identity(n) for n in range(nets)],
        suffixes=[bytes(255)] * nets,
        own=own,
        upstreams=[SERVER] * servers,
        wild=[identity(n) for n in range(nets)],
        network="n" * 255,
    )
    table = Table("d" * 24, names, base="b" * 24, put=names, gone=frozenset(names))
    told = list(
        difference.messages(
            msgspec.structs.replace(BLANK, tables={ID: "b" * 24}),
            Snapshot(ids.Revision(1), {ID: table}, {ID: view}),
        )
    )
    assert all(protocol.size(each) <= protocol.MOST_BYTES for each in told)
    seen = parts.joined([each for each in told if isinstance(each, protocol.View)])
    assert msgspec.structs.replace(seen, own={}) == msgspec.structs.replace(view, own={})
    assert seen.own.keys() == own.keys()
    for name, entry in own.items():
        for kind, records in entry.items():  # whole, or longer than an answer takes
            known = seen.own[name].get(kind, [])
            assert known == records[: len(known)]
            assert len(known) == len(records) or sum(2 + len(each) for each in known) > 65535


def test_parts_of_different_kinds_are_no_whole() -> None:
    with pytest.raises(ValueError, match="something else than Applied"):
        parts.joined([BLANK, protocol.Applied(1, {})])


def test_what_comes_twice_and_is_no_piece_is_no_whole() -> None:
    twice = msgspec.structs.replace(BLANK, outward={ID: REACH})
    with pytest.raises(ValueError, match="comes twice"):
        parts.joined([twice, twice])


@given(st.lists(st.integers(0, 70_000), max_size=40))
def test_a_page_holds_the_first_rows_that_fit(sizes: list[int]) -> None:
    rows = [bytes(size) for size in sizes]
    taken, others = parts.first(rows)
    assert taken == rows[: len(taken)]
    assert others == (len(taken) < len(rows))
    assert protocol.size(taken) <= protocol.MOST_BYTES
