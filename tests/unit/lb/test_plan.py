"""Steps and their order, one situation each; the laws are in tests/property/test_lb_plan.py."""

from dataclasses import replace
from ipaddress import IPv4Address, ip_address

from lb import plan, table
from lb.back import Back
from sdd.model.service import Scheduler
from tests.contract.lb_kernel import API, WEB, WEB6, table_of, virtual


def test_nothing_to_do_is_no_step() -> None:
    want = table_of(virtual(WEB, 1, 2), virtual(API))
    assert plan.diff(want, want) == ()


def test_a_new_service_comes_with_its_backends() -> None:
    service = virtual(WEB, 1, 2)
    assert plan.diff(table.EMPTY, table_of(service)) == (plan.AddService(service),)


def test_a_backend_comes_before_another_goes() -> None:
    have = table_of(virtual(WEB, 1))
    other = table.Backend(address=ip_address("10.77.0.9"))
    want = table_of(
        table.VirtualService(number=7, vip=WEB, scheduler=Scheduler.RR, backends=(other,))
    )
    assert plan.diff(have, want) == (
        plan.AddBackend(WEB, other),
        plan.RemoveBackend(WEB, ip_address("10.77.0.1")),
    )


def test_B9_28_a_wrong_weight_is_set_not_replaced() -> None:
    (step,) = plan.diff(table_of(virtual(WEB, 0, 2)), table_of(virtual(WEB, 1, 2)))
    assert step == plan.SetWeight(WEB, table.Backend(address=ip_address("10.77.0.1"), weight=1))


def test_backups_take_over_before_the_members_rest() -> None:
    """Each step is a request of its own to IPVS, which refuses what comes in between."""
    (first, second) = plan.diff(table_of(virtual(WEB, 10, 0)), table_of(virtual(WEB, 0, 10)))
    assert first == plan.SetWeight(WEB, table.Backend(address=ip_address("10.77.0.2"), weight=10))
    assert second == plan.SetWeight(WEB, table.Backend(address=ip_address("10.77.0.1"), weight=0))


def test_a_change_of_one_among_many_looks_at_each_a_few_times() -> None:
    class Counted(IPv4Address):
        hashed = 0

        def __hash__(self) -> int:
            Counted.hashed += 1
            return super().__hash__()

    def service(weight: int) -> table.VirtualService:
        members = [table.Backend(address=Counted(at), weight=1) for at in range(1000)]
        members[500] = table.Backend(address=Counted(500), weight=weight)
        return table.VirtualService(number=1, vip=WEB, backends=tuple(members))

    (step,) = plan.diff(table_of(service(1)), table_of(service(2)))
    assert isinstance(step, plan.SetWeight)
    assert Counted.hashed < 20 * 1000


def test_B9_29_a_new_scheduler_is_an_edit() -> None:
    want = virtual(WEB, 1, scheduler=Scheduler.WLC)
    assert plan.diff(table_of(virtual(WEB, 1)), table_of(want)) == (
        plan.EditService(virtual(WEB, scheduler=Scheduler.WLC)),
    )


def test_an_address_taken_over_by_another_service_is_freed_first() -> None:
    have, want = table_of(virtual(WEB, 1, number=7)), table_of(virtual(WEB, 1, number=8))
    assert plan.diff(have, want) == (
        plan.RemoveService(WEB),
        plan.AddService(virtual(WEB, 1, number=8)),
    )


def test_flaws_are_mended_once_each_and_strays_removed() -> None:
    web = virtual(WEB, 1)
    flaws = (
        table.Flaw(what="hook gone"),
        table.Flaw(vip=WEB, what="mark gone"),
        table.Flaw(vip=WEB, what="route gone"),
        table.Flaw(vip=WEB6, what="nobody's"),
    )
    have = table.Table(services={WEB: web}, flaws=flaws)
    assert plan.diff(have, table_of(web)) == (
        plan.Mend(None),
        plan.Mend(WEB),
        plan.RemoveService(WEB6),
    )


def test_touched_names_addresses_and_the_frame() -> None:
    steps = (plan.AddService(virtual(WEB)), plan.Mend(None), plan.RemoveService(API))
    assert plan.touched(steps) == {WEB, None, API}
    assert plan.addresses(steps) == {WEB, API}


def test_backends_are_ordered_by_family_and_number() -> None:
    addresses = ["fd77::1", "10.77.0.10", "10.77.0.9"]
    mixed = [table.Backend(address=ip_address(each)) for each in addresses]
    assert [str(each.address) for each in plan.ordered(mixed)] == [
        "10.77.0.9",
        "10.77.0.10",
        "fd77::1",
    ]


def test_sandboxes_of_which_the_same_is_asked_get_the_very_same_steps() -> None:
    have, want = table_of(virtual(WEB, 1)), table_of(virtual(WEB, 1, 2))
    here, there = ((replace(have), replace(want)) for _ in range(2))
    diff = plan.Diff()
    assert diff(*here) is diff(*there)
    assert diff(*here) == plan.diff(have, want)


def test_what_a_sandbox_alone_has_is_in_its_own_steps() -> None:
    have, want = table_of(virtual(WEB, 1)), table_of(virtual(WEB, 1, 2))
    flawed = replace(have, flaws=(table.Flaw(what="hook gone"),))
    member = replace(want, back=Back(link="eth0"))
    diff = plan.Diff()
    usual = diff(have, want)
    assert plan.Mend(None) in diff(flawed, want)
    assert diff(have, member)[-1] == plan.SetBack(Back(link="eth0"))
    assert diff(have, want) is usual


def test_what_is_left_is_what_is_not_shown_as_wanted() -> None:
    want = table_of(virtual(WEB, 1, 2), virtual(API))
    steps = plan.diff(table.EMPTY, want)
    diff = plan.Diff()
    assert diff.left(want, want, steps) == ()
    assert set(diff.left(table_of(virtual(WEB, 1), virtual(API)), want, steps)) == {WEB}
    flawed = replace(want, flaws=(table.Flaw(what="hook gone"),))
    assert set(diff.left(flawed, want, steps)) == {None}
    without = table_of(virtual(WEB, 1, 2))
    going = plan.diff(want, without)
    assert set(diff.left(table_of(virtual(API)), without, going)) == {API}
    assert diff.left(table.EMPTY, without, going) == ()
