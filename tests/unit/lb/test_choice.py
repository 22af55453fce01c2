"""Who is chosen how where nftables balances."""

import pytest

from lb import choice, rendezvous
from sdd.model.service import Scheduler
from tests.contract.lb_kernel import backends


def chosen(*weights: int, scheduler: Scheduler, persistence_s: int = 0) -> str:
    return choice.text("ip", choice.of(backends(*weights), scheduler, persistence_s))


def test_counting_schedulers_take_turns() -> None:
    turns = "numgen inc mod 3 map { 0 : 10.77.0.1, 1 : 10.77.0.2, 2 : 10.77.0.1 }"
    assert chosen(2, 1, scheduler=Scheduler.WRR) == turns
    assert "mod 2 " in chosen(2, 1, scheduler=Scheduler.RR)


@pytest.mark.parametrize(
    ("scheduler", "key"),
    [
        (Scheduler.MH, "ip saddr . th sport"),
        (Scheduler.SH, "ip saddr"),
        (Scheduler.DH, "ip daddr"),
    ],
)
def test_hashing_schedulers_choose_by_the_maglev_table(scheduler: Scheduler, key: str) -> None:
    assert f"jhash {key} mod {rendezvous.SLOTS} seed" in chosen(1, 1, scheduler=scheduler)


@pytest.mark.parametrize("scheduler", [Scheduler.FO, Scheduler.OVF])
def test_failover_gives_everything_to_the_heaviest(scheduler: Scheduler) -> None:
    ready = backends(1, 3, 3)
    assert choice.taking(ready, scheduler) == (ready[1],)
    assert choice.taking((), scheduler) == ()


def test_B9_10_affinity_hashes_the_client_alone() -> None:
    assert "jhash ip saddr mod" in chosen(1, 1, scheduler=Scheduler.RR, persistence_s=60)
