"""Rules as text: who is chosen how, and what identifies a chain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb import maglev, table
from lb.kernel import nft_text
from sdd.model.service import Scheduler
from tests.contract.lb_kernel import API, WEB, WEB6, table_of, virtual
from tests.property.test_lb_plan import VIPS, virtual_services


def rules(*weights: int, **settings: object) -> list[str]:
    service = virtual(WEB, *weights, **settings)  # type: ignore[arg-type]  # settings of the test
    text = nft_text.rebuild(table_of(service))
    return [
        line.split(f"{nft_text.chain(WEB)} ", 1)[1].split(" comment")[0]
        for line in text.splitlines()
        if line.startswith("add rule") and " accept comment" not in line
    ]


def test_one_backend_needs_no_choice() -> None:
    assert rules(1, 0) == ["dnat ip to 10.77.0.1"]


def test_no_backend_is_left_to_the_frame_to_refuse() -> None:
    assert rules() == rules(0) == []
    assert " accept comment " in nft_text.rebuild(table_of(virtual(WEB)))


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


@pytest.mark.parametrize("scheduler", [Scheduler.FO, Scheduler.OVF])
def test_failover_gives_everything_to_the_heaviest(scheduler: Scheduler) -> None:
    assert rules(1, 3, 3, scheduler=scheduler) == ["dnat ip to 10.77.0.2"]
    assert rules(0, 0, scheduler=scheduler) == []


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
    assert "10.77.0.2=3" in text
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


@given(virtual_services(VIPS[0]) | virtual_services(VIPS[2]), st.integers(1, 2))
def test_comments_are_read_back_as_their_service(
    service: table.VirtualService, choices: int
) -> None:
    written = nft_text.comments(service, choices)
    assert nft_text.service_of(service.vip, written) == service
    assert all(len(each) <= 128 for each in written)


@given(virtual_services(VIPS[0]), st.data())
def test_a_comment_less_or_changed_is_not_ours(
    service: table.VirtualService, data: st.DataObject
) -> None:
    written = nft_text.comments(service, 2)
    at = data.draw(st.integers(0, len(written) - 1))
    assert nft_text.service_of(service.vip, written[:at] + written[at + 1 :]) is None
    other = data.draw(st.text(max_size=130).filter(lambda text: text != written[at]))
    assert nft_text.service_of(service.vip, [*written[:at], other, *written[at + 1 :]]) is None
    assert nft_text.service_of(service.vip, [*written, written[-1]]) is None


def test_many_backends_are_recorded_in_several_comments() -> None:
    service = virtual(WEB6, *range(65500, 65530))
    written = nft_text.comments(service, 2)
    assert len(written) > 4
    assert nft_text.service_of(WEB6, written) == service
