"""What identifies a chain, and a service as the comments of its rules."""

from hypothesis import given
from hypothesis import strategies as st

from lb import table
from lb.kernel import nft_text
from lb.kernel.nft_text import Records
from sdd.model.service import Scheduler
from tests.contract.lb_kernel import API, WEB, WEB6, virtual
from tests.property.test_lb_plan import VIPS, virtual_services


def test_chain_names_take_no_colons() -> None:
    assert nft_text.chain(WEB) == "vip-10.77.0.200"
    assert nft_text.chain(WEB6) == "vip-fd770000000000000000000000000200"


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
    assert nft_text.service_of(service.vip, Records().of(service)) == service
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


def test_a_record_is_put_together_once_and_is_never_taken_for_anothers() -> None:
    records = Records()
    services = [virtual(WEB, 1, number=each) for each in range(1, 50)]
    first = [records.of(each) for each in services]
    assert all(records.of(each) is record for each, record in zip(services, first, strict=True))
    assert [records.of(virtual(WEB, 1, number=each)) for each in range(1, 50)] == first


def test_many_backends_are_recorded_in_several_comments() -> None:
    service = virtual(WEB6, *range(65500, 65530))
    written = nft_text.comments(service, 2)
    assert len(written) > 4
    assert nft_text.service_of(WEB6, written) == service
