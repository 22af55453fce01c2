"""Which requests a change takes; that they mean what they should is the kernel suite's business."""

import pytest

from lb import choice, table
from lb.kernel import nft_messages, nft_text
from lb.kernel.nft_rules import Rules
from sdd.linux import netlink
from sdd.model.service import Scheduler
from tests.contract.lb_kernel import API, WEB, WEB6, table_of, virtual

FRAME = (netlink.Message(1, 0, b"the frame"),)
NEW_RULE, NEW_ELEMENT = 6, 12


def kinds(messages: list[netlink.Message]) -> list[int]:
    return [each.kind & 0xFF for each in messages]


def test_changes_are_about_what_changed_alone() -> None:
    have = table_of(virtual(WEB, 1, 2), virtual(API, 1, number=9))
    after = table_of(virtual(WEB, 1, 3), virtual(API, 1, number=9))
    messages = list(Rules(have, after).changes((WEB,)))
    bodies = b"".join(each.body for each in messages)
    assert b"vip-10.77.0.200" in bodies
    assert b"10.77.0.2=3" in bodies
    assert str(API).encode() not in bodies
    assert b"vip4" not in bodies


def test_removing_what_was_never_there_takes_no_request() -> None:
    assert list(Rules(table_of(), table_of()).changes((WEB,))) == []


@pytest.mark.parametrize("is_there", [True, False])
def test_a_table_is_deleted_only_where_it_is(is_there: bool) -> None:
    """Whatever a transaction deletes is waited for."""
    messages = list(Rules(table_of(), table_of(virtual(WEB, 1))).rebuild(FRAME, is_there=is_there))
    assert messages[int(is_there)] is FRAME[0]
    assert (2 in kinds(messages)) is is_there


def test_the_maps_of_one_transaction_have_numbers_of_their_own() -> None:
    after = table_of(virtual(WEB, 1, 2), virtual(API, 1, 1, number=9), virtual(WEB6, 1, 1))
    made = [
        netlink.attributes(each.body[4:])[10]
        for each in Rules(table_of(), after).rebuild((), is_there=False)
        if each.kind & 0xFF == 9
    ]
    assert len(made) == len(set(made)) == 3


def test_more_elements_than_a_request_takes_come_in_several() -> None:
    many = nft_messages.Set(name="vip6", key=nft_messages.ADDRESS[6])
    elements = [bytes(100)] * 2000
    messages = list(nft_messages.Writer("t").add_elements(many, elements))
    assert len(messages) == 4
    assert all(len(each.body) < 1 << 16 for each in messages)


def test_without_a_backend_a_flow_comes_back_to_be_refused() -> None:
    messages = Rules(table_of(), table_of(virtual(WEB, 0))).changes((WEB,))
    assert bytes((127, 93, 93, 93)) in b"".join(each.body for each in messages)
    assert "ip daddr 127.93.93.93 ct original ip daddr @own4 goto refused" in nft_text.frame_of("")


def test_turns_and_hashes_are_different_expressions() -> None:
    for scheduler, name in ((Scheduler.RR, b"numgen"), (Scheduler.MH, b"hash")):
        messages = Rules(table.EMPTY, table_of(virtual(WEB, 1, 1, scheduler=scheduler))).changes(
            (WEB,)
        )
        assert name in b"".join(each.body for each in messages)
    assert choice.key(Scheduler.RR, 0) is None
