import gc

import pytest

from resolver.message import wire
from resolver.names import answer, detour
from tests.unit.resolver.questions import a, query, scope

WEB = {
    wire.to_wire("web"): a("10.1.0.2"),
    wire.to_wire("x.y"): a("10.1.0.3"),
    wire.to_wire("y"): {},
}
LAB = {wire.to_wire("db.lab"): a("10.2.0.2")}


def passed(name: str, ndots: int, *search: str) -> str:
    seen = scope(WEB, LAB, search=tuple(map(wire.to_wire, search)), ndots=ndots)
    found = detour.passes(wire.to_wire(name), seen)
    return wire.to_text(found) if found else ""


@pytest.mark.parametrize(
    ("name", "ndots", "found"),
    [
        ("web.corp.test", 1, "web."),
        ("web.corp.test", 0, ""),
        ("x.y.corp.test", 2, "x.y."),
        ("x.y.corp.test", 1, ""),  # asked as it is first
        ("else.corp.test", 1, ""),
        ("y.corp.test", 1, ""),  # there is only something below it
        ("web.corp.test.org", 1, ""),
        ("webcorp.test", 1, ""),
        ("corp.test", 1, ""),
        ("web", 1, ""),
    ],
)
def test_A8_112_a_name_of_ours_behind_the_search_list(name: str, ndots: int, found: str) -> None:
    assert passed(name, ndots, "corp.test") == found


def test_A8_112_later_domains_of_the_list_count_and_earlier_do_not() -> None:
    assert passed("db.corp.test", 1, "corp.test", "lab") == "db.lab."
    assert passed("db.corp.test", 1, "lab", "corp.test") == ""
    assert passed("db.corp.test", 1, "corp.test") == ""


def test_a_scope_for_names_that_no_list_made_is_the_same_otherwise() -> None:
    seen = scope(WEB, LAB, search=(wire.to_wire("corp.test"),), ndots=1)
    assert seen.straight.search == ()
    assert (seen.straight.tables, seen.straight.partition) == (seen.tables, seen.partition)
    assert isinstance(seen.straight, answer.Scope)
    assert seen.straight.straight is seen.straight
    assert seen.straight is seen.straight


@pytest.mark.parametrize(
    ("name", "kind", "ndots", "found"),
    [
        ("web.corp.test", "AAAA", 0, "web"),
        ("web.corp.test", "A", 0, ""),  # which `web` has, so nobody goes on
        ("web.corp.test", "AAAA", 1, ""),  # which comes first
        ("x.y.corp.test", "AAAA", 1, "x.y"),
        ("else.corp.test", "AAAA", 0, ""),
        ("y.corp.test", "AAAA", 0, ""),  # there is only something below it
        ("web.corp.test.org", "AAAA", 0, ""),
    ],
)
def test_A8_112_a_name_of_ours_before_the_search_list(
    name: str, kind: str, ndots: int, found: str
) -> None:
    seen = scope(WEB, LAB, search=(wire.to_wire("corp.test"),), ndots=ndots)
    assert wire.to_text(detour.follows(query(name, kind), seen)).removesuffix(".") == found


@pytest.mark.parametrize(
    ("name", "ndots", "found"),
    [
        ("gone.net.corp.test", 0, "gone.net"),
        ("gone.net.corp.test", 1, "gone.net"),
        ("gone.net.corp.test", 2, ""),  # which comes first
        ("db.net.corp.test", 0, ""),  # which is there
        ("gone.lab.corp.test", 0, ""),  # which may be anybody's
        ("gone.local.corp.test", 0, ""),  # which is denied for its use alone
        ("gone.net.other.test", 0, ""),
    ],
)
def test_A8_112_a_name_that_would_be_ours_before_the_search_list(
    name: str, ndots: int, found: str
) -> None:
    names = {wire.to_wire("db.net"): a("10.2.0.2")}
    seen = scope(WEB, names, search=(wire.to_wire("corp.test"),), ndots=ndots)
    for kind in ("A", "AAAA", "MX"):
        assert wire.to_text(detour.gone(query(name, kind), seen)).removesuffix(".") == found


def test_a_scope_without_a_search_list_does_not_refer_to_itself() -> None:
    """It would stay, at each change one of each sandbox, until a search for garbage."""
    seen = scope(WEB, LAB)
    assert seen.straight is seen
    assert seen not in gc.get_referents(seen)
