"""Rules as text: who is chosen how, and what identifies a chain."""

import pytest

from lb import maglev
from lb.kernel import nft_text
from sdd.model.service import Scheduler
from tests.contract.lb_kernel import API, WEB, WEB6, table_of, virtual


def rules(*weights: int, **settings: object) -> list[str]:
    service = virtual(WEB, *weights, **settings)  # type: ignore[arg-type]  # settings of the test
    text = nft_text.rebuild(table_of(service))
    return [
        line.split(f"{nft_text.chain(WEB)} ", 1)[1].split(" comment")[0]
        for line in text.splitlines()
        if line.startswith("add rule")
    ]


def test_one_backend_needs_no_choice() -> None:
    assert rules(1, 0) == ["dnat ip to 10.77.0.1"]


def test_no_backend_is_left_to_the_frame_to_refuse() -> None:
    assert rules() == rules(0) == ["accept"]


def test_counting_schedulers_take_turns() -> None:
    chosen = "numgen inc mod 3 map { 0 : 10.77.0.1, 1 : 10.77.0.2, 2 : 10.77.0.1 }"
    first, ping = rules(2, 1, scheduler=Scheduler.WRR)
    assert first == f"meta l4proto {nft_text.PORTS} dnat ip to {chosen}"
    assert ping == "dnat ip to 10.77.0.1"
    assert "mod 2 " in rules(2, 1, scheduler=Scheduler.RR)[0]


@pytest.mark.parametrize(
    ("scheduler", "key"),
    [
        (Scheduler.MH, "ip saddr . th sport"),
        (Scheduler.SH, "ip saddr"),
        (Scheduler.DH, "ip daddr"),
    ],
)
def test_hashing_schedulers_choose_by_the_maglev_table(scheduler: Scheduler, key: str) -> None:
    first, _ = rules(1, 1, scheduler=scheduler)
    assert f"jhash {key} mod {maglev.SLOTS} seed" in first


def test_B9_10_affinity_hashes_the_client_alone() -> None:
    assert "jhash ip saddr mod" in rules(1, 1, scheduler=Scheduler.RR, persistence_s=60)[0]


def test_chain_names_take_no_colons() -> None:
    assert nft_text.chain(WEB) == "vip-10.77.0.200"
    assert nft_text.chain(WEB6) == "vip-fd770000000000000000000000000200"


def test_changes_name_only_what_changed() -> None:
    have = table_of(virtual(WEB, 1, 2), virtual(API, 1, number=9))
    after = table_of(virtual(WEB, 1, 3), virtual(API, 1, number=9))
    text = nft_text.changes(have, after, (WEB,))
    assert str(API) not in text
    assert "delete element inet sdd-lb weight4 { 10.77.0.200 . 10.77.0.2 }" in text
    assert "add element inet sdd-lb weight4 { 10.77.0.200 . 10.77.0.2 : 3 }" in text
    assert "vip4" not in text


def test_removing_what_was_never_there_is_no_text() -> None:
    assert nft_text.changes(table_of(), table_of(), (WEB,)) == ""


def test_the_digest_tells_apart_all_that_makes_rules() -> None:
    services = [
        virtual(WEB, 1),
        virtual(WEB, 2),
        virtual(WEB, 1, 1),
        virtual(WEB, 1, number=8),
        virtual(WEB, 1, scheduler=Scheduler.MH),
        virtual(WEB, 1, persistence_s=1),
        virtual(API, 1),
    ]
    assert len({nft_text.digest(each) for each in services}) == len(services)


def test_labels_are_read_back_and_others_are_not_ours() -> None:
    mine = nft_text.Label(
        number=7, scheduler=Scheduler.MH, persistence_s=60, digest="ab", place=1, count=2
    )
    assert nft_text.label(str(mine)) == mine
    for other in ("", "hello", "sdd x mh 0 ab 1/2", "sdd 7 new 0 ab 1/2", "sdd 7 mh 0 ab 1-2"):
        assert nft_text.label(other) is None
