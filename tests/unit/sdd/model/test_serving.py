"""Who serves: the members that are up, backups below the quorum, all in a panic."""

from dataclasses import replace

import pytest

from sdd.model import ids
from sdd.model.service import Member, Service
from sdd.model.serving import Mode, serving

WEB = Service(id=ids.ServiceId("web"), name="web", network=ids.NetworkId("net"), number=1)


def member(name: str, *, backup: bool = False, weight: int = 1, drains: float = 0.0) -> Member:
    return Member(
        service=WEB.id,
        endpoint=ids.EndpointId(name),
        sandbox=ids.SandboxId(name),
        node=ids.NodeId("here"),
        weight=weight,
        backup=backup,
        drains_until=drains,
    )


A, B, C, D = map(member, "abcd")
SORRY = member("sorry", backup=True)


def who(svc: Service, members: tuple[Member, ...], up: str) -> tuple[str, dict[str, int]]:
    found = serving(svc, members, lambda each: str(each.endpoint) in up.split())
    return found.mode.value, {str(each.endpoint): each.share for each in found.members}


def test_without_settings_it_is_who_is_up() -> None:
    assert who(WEB, (A, B), "a b") == ("members", {"a": 1, "b": 1})
    assert who(WEB, (A, B), "b") == ("members", {"b": 1})
    assert who(WEB, (A, B), "") == ("members", {})


def test_B9_16_below_the_quorum_backups_serve_and_then_members_again() -> None:
    two = replace(WEB, quorum=2)
    members = (A, B, SORRY)
    assert who(two, members, "a b sorry") == ("members", {"a": 1, "b": 1, "sorry": 0})
    assert who(two, members, "a sorry") == ("backups", {"a": 0, "sorry": 1})
    assert who(two, members, "sorry") == ("backups", {"sorry": 1})


def test_a_quorum_without_a_backup_that_is_up_takes_nobody_away() -> None:
    two = replace(WEB, quorum=2)
    assert who(two, (A, B), "a") == ("members", {"a": 1})
    assert who(two, (A, B, SORRY), "a") == ("members", {"a": 1})
    assert who(two, (A, B, replace(SORRY, weight=0)), "a sorry")[0] == "members"


def test_who_drains_or_weighs_nothing_does_not_count() -> None:
    leaving, idle = member("b", drains=9.0), member("c", weight=0)
    found = who(WEB, (leaving, idle, SORRY), "b c sorry")
    assert found == ("backups", {"b": 0, "c": 0, "sorry": 1})


@pytest.mark.parametrize(
    ("panic", "up", "mode"),
    [(50, "a b", "members"), (50, "a", "all"), (51, "a b", "all"), (0, "", "members")],
)
def test_below_the_panic_threshold_all_members_serve(panic: int, up: str, mode: str) -> None:
    found, shares = who(replace(WEB, panic=panic), (A, B, C, D), up)
    assert found == mode
    assert set(shares) == (set("abcd") if mode == "all" else set(up.split()))


def test_backups_go_before_panic_and_never_serve_in_one() -> None:
    svc = replace(WEB, panic=100)
    assert who(svc, (A, B, SORRY), "sorry") == ("backups", {"sorry": 1})
    assert who(svc, (A, B, SORRY), "a sorry") == ("all", {"a": 1, "b": 1})


def test_the_order_of_the_members_stays() -> None:
    found = serving(replace(WEB, quorum=9), (A, SORRY, B), lambda _: True)
    assert found.mode is Mode.BACKUPS
    assert [str(each.endpoint) for each in found.members] == ["a", "sorry", "b"]
