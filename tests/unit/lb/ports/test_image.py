"""Entries as elements of sets and maps, and how many need each."""

import re
from collections import Counter
from ipaddress import IPv4Address

from lb.ports import image
from lb.ports.ledger import Ledger
from sdd.model.service import Scheduler
from tests.contract.ports_kernel import API, LOOPBACK, WEB, WEB6, bind, entry


def shown(found: image.Image) -> set[str]:
    return {f"{each.set} {each.key} {each.value}".strip() for each in found}


def of(*args: object, **options: object) -> set[str]:
    return shown(frozenset(image.of(entry(*args, **options))))  # type: ignore[arg-type]  # as entry


def test_one_backend_is_one_element_of_a_map() -> None:
    assert of(bind(), WEB) == {
        "own_any4 tcp . 8080",
        "to_any4 tcp . 8080 10.77.0.2 . 80",
        "self4 10.77.0.2 . 10.77.0.2",
    }
    assert "to_at4 127.0.0.1 . tcp . 8080 10.77.0.2 . 80" in of(bind(address=LOOPBACK), WEB)
    assert "to_any6 tcp . 8080 fd77::2 . 80" in of(bind(version=6), WEB6)


def test_without_a_backend_the_port_is_ours_and_leads_nowhere() -> None:
    assert of(bind()) == {"own_any4 tcp . 8080"}


def test_several_lead_to_a_chain_that_is_named_by_what_it_does() -> None:
    one = frozenset(image.of(entry(bind(), WEB, API, scheduler=Scheduler.RR)))
    same = frozenset(image.of(entry(bind(81), WEB, API, scheduler=Scheduler.RR)))
    other = frozenset(image.of(entry(bind(), WEB, API, scheduler=Scheduler.SH)))
    chains = [{each for each in many if each.set == image.CHAIN} for many in (one, same, other)]
    assert chains[0] == chains[1] != chains[2]
    (chain,) = chains[0]
    assert "numgen inc mod 2" in chain.rule
    assert f"pool_any4 tcp . 8080 goto {chain.key}" in shown(one)


def test_a_port_before_many_backends_gives_each_its_share() -> None:
    """A rule has one table: it must be even by itself."""
    many = [IPv4Address("10.77.0.1") + each for each in range(100)]
    (chain,) = (each for each in image.of(entry(bind(), *many)) if each.set == image.CHAIN)
    counts = Counter(re.findall(r"\d+ : (10\.77\.0\.\d+)", chain.rule))
    assert len(counts) == len(many)
    assert set(counts.values()) == {2, 3}


def test_what_two_entries_need_goes_with_the_second() -> None:
    ledger = Ledger()
    first, second = entry(bind(), WEB), entry(bind(81), WEB)
    _, into = ledger.replace((), [first])
    assert into == frozenset(image.of(first))
    _, into = ledger.replace((), [second])
    assert shown(into) == {"own_any4 tcp . 81", "to_any4 tcp . 81 10.77.0.2 . 80"}
    out, _ = ledger.replace([first.bind], ())
    assert shown(out) == {"own_any4 tcp . 8080", "to_any4 tcp . 8080 10.77.0.2 . 80"}
    out, _ = ledger.replace([second.bind], ())
    assert "self4 10.77.0.2 . 10.77.0.2" in shown(out)
    assert ledger.everything() == image.NONE


def test_the_same_again_is_no_change() -> None:
    ledger = Ledger()
    ledger.replace((), [entry(bind(), WEB)])
    assert ledger.replace((), [entry(bind(), WEB)]) == (image.NONE, image.NONE)
    assert ledger.replace([bind(9)], ()) == (image.NONE, image.NONE)


def test_only_bridges_behind_ipv4_ports_take_127_0_0_1() -> None:
    ledger = Ledger()
    four = entry(bind(), WEB, devices=frozenset({"br4"}))
    six = entry(bind(version=6), WEB6, devices=frozenset({"br6"}))
    ledger.replace((), [four, six])
    assert ledger.devices() == {"br4"}
    ledger.replace([four.bind], ())
    assert ledger.devices() == frozenset()
