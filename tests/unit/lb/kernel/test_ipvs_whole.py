"""New services as bytes: the very requests that are made one by one, under a number of each."""

from ipaddress import ip_address

from hypothesis import given

from lb import table
from lb.kernel import ipvs_entries, ipvs_whole
from sdd.linux import netlink
from sdd.model.service import Scheduler
from tests.contract.lb_kernel import WEB, WEB6, virtual
from tests.property.test_lb_plan import VIPS, virtual_services

FAMILY = 33
ROOM = 1 << 14
FAR = 1 << 24  # no connection counts that far


def one_by_one(service: table.VirtualService) -> list[bytes]:
    changes = ipvs_entries.changes(FAMILY, {}, ipvs_entries.entries(service))
    return sorted(each.message.body for each in changes)


@given(virtual_services(VIPS[0]) | virtual_services(WEB6))
def test_a_piece_is_all_requests_about_a_service(service: table.VirtualService) -> None:
    found = list(netlink.frames(ipvs_whole.piece(FAMILY, service)))
    assert sorted(body for _, _, _, body in found) == one_by_one(service)
    assert {each[:3] for each in found} == {(FAMILY, netlink.REQUEST, ipvs_whole.number(service))}


def test_each_service_and_ip_version_has_a_number_of_its_own() -> None:
    services = [virtual(vip, 1, number=at) for at in (1, 2, 2**22) for vip in (WEB, WEB6)]
    assert len({ipvs_whole.number(each) for each in services}) == len(services)
    assert min(map(ipvs_whole.number, services)) > FAR


def test_a_service_is_put_together_once_for_all_sandboxes() -> None:
    services = [virtual(WEB, 1, 2)]
    (first,), (again,) = (list(ipvs_whole.loads(FAMILY, services)) for _ in range(2))
    (other,) = ipvs_whole.loads(FAMILY + 1, services)
    assert first == again != other
    make = ipvs_whole.maker(FAMILY)
    assert services[0].once(make) is services[0].once(make)


def test_a_service_comes_before_its_backends() -> None:
    found = netlink.frames(ipvs_whole.piece(FAMILY, virtual(WEB, 1, 2)))
    assert [body[0] for *_, body in found] == [1, 5, 5] * 2


def test_backends_of_one_weight_and_of_several_are_packed_alike() -> None:
    for service in (
        virtual(WEB, 1, 1, 1),
        virtual(WEB, 1, 2, 0),
        virtual(WEB6, 4, 4),
        virtual(WEB),
    ):
        found = netlink.frames(ipvs_whole.piece(FAMILY, service))
        assert sorted(body for *_, body in found) == one_by_one(service)


def test_loads_hold_several_services_and_all_of_them_in_order() -> None:
    weights = [1] * 10
    services = [
        virtual(ip_address(f"10.77.4.{at}"), *weights, number=at, scheduler=Scheduler.MH)
        for at in range(1, 21)
    ]
    loads = list(ipvs_whole.loads(FAMILY, services, ROOM))
    assert 1 < len(loads) < len(services)
    assert max(map(len, loads)) <= ROOM
    numbers = [sequence for load in loads for _, _, sequence, _ in netlink.frames(load)]
    assert numbers == [ipvs_whole.number(each) for each in services for _ in range(22)]
    assert list(ipvs_whole.loads(FAMILY, ())) == []


def test_a_service_of_many_backends_is_cut_into_loads_between_requests() -> None:
    many = tuple(table.Backend(address=ip_address("10.77.8.0") + at) for at in range(2000))
    services = [
        table.VirtualService(number=at, vip=ip_address(f"10.77.4.{at}"), backends=many)
        for at in (1, 2)
    ]
    loads = list(ipvs_whole.loads(FAMILY, services))
    assert max(map(len, loads)) <= 2 * ipvs_whole.LOAD
    assert len(loads) < sum(map(len, loads)) / ipvs_whole.LOAD + 1
    pieces = map(ipvs_whole.piece, (FAMILY, FAMILY), services)
    assert b"".join(loads) == b"".join(pieces)
    requests = sum(len(list(netlink.frames(load))) for load in loads)
    assert requests == 2 * 2 * 2001
