"""A virtual service is two mark services, and their difference a few requests."""

import dataclasses
from collections.abc import Iterator
from ipaddress import ip_address

from hypothesis import given

from lb import table
from lb.kernel import ipvs_codec, ipvs_entries
from lb.kernel.ipvs_codec import Key, Settings
from lb.kernel.ipvs_entries import Entries, Entry
from sdd.linux import netlink
from sdd.model.network import IPAddress
from sdd.model.service import Scheduler
from tests.contract.lb_kernel import WEB, virtual
from tests.property.test_lb_plan import VIPS, reweighed, virtual_services

FAMILY = 33
ONE, TWO = ip_address("10.77.0.1"), ip_address("10.77.0.2")
STREAM, DATAGRAM = Key(4, 0x5D00000E), Key(4, 0x5D00000F)


def test_streams_keep_a_draining_backend_datagrams_do_not() -> None:
    found = ipvs_entries.entries(virtual(WEB, 3, 0))
    assert found[STREAM].weights == {ONE: 3, TWO: 0}
    assert found[DATAGRAM].weights == {ONE: 3}


def test_maglev_hashes_ports_and_passes_over_the_drained() -> None:
    settings = ipvs_entries.settings(virtual(WEB, scheduler=Scheduler.MH, persistence_s=60))
    assert settings == Settings(scheduler="mh", flags=0x19, timeout_s=60)
    assert ipvs_entries.settings(virtual(WEB)) == Settings(scheduler="rr")


def commands(have: Entries, want: Entries) -> list[tuple[int, int]]:
    return [(each.key.mark & 1, each.command) for each in ipvs_entries.changes(FAMILY, have, want)]


def test_one_weight_is_one_request_per_service() -> None:
    have, want = (ipvs_entries.entries(virtual(WEB, *weights)) for weights in ((1, 2), (1, 3)))
    assert commands(have, want) == [(0, ipvs_codec.SET_BACKEND), (1, ipvs_codec.SET_BACKEND)]


def test_draining_sets_the_weight_of_streams_and_removes_from_datagrams() -> None:
    have, want = (ipvs_entries.entries(virtual(WEB, *weights)) for weights in ((1, 2), (1, 0)))
    assert commands(have, want) == [(0, ipvs_codec.SET_BACKEND), (1, ipvs_codec.DELETE_BACKEND)]


def test_B9_29_a_new_scheduler_edits_and_touches_no_backend() -> None:
    have = ipvs_entries.entries(virtual(WEB, 1))
    want = ipvs_entries.entries(virtual(WEB, 1, scheduler=Scheduler.WLC))
    assert commands(have, want) == [(0, ipvs_codec.SET_SERVICE), (1, ipvs_codec.SET_SERVICE)]


def test_removing_is_fine_when_there_is_nothing() -> None:
    gone = tuple(ipvs_entries.changes(FAMILY, ipvs_entries.entries(virtual(WEB, 1)), {}))
    assert [each.is_removal for each in gone] == [True, True]
    made = tuple(ipvs_entries.changes(FAMILY, {}, ipvs_entries.entries(virtual(WEB, 1))))
    assert not any(each.is_removal for each in made)


def test_a_stray_makes_another_entry_and_goes_with_its_port_alone() -> None:
    want = ipvs_entries.entries(virtual(WEB, 1, 2))
    strange = ip_address("10.77.0.9")
    strays = {(ONE, 81), (strange, 81)}
    have = want | {STREAM: dataclasses.replace(want[STREAM], strays=strays)}
    assert have != want
    assert ipvs_entries.virtual(WEB, 7, have[STREAM]) == virtual(WEB, 1, 2)
    found = tuple(ipvs_entries.changes(FAMILY, have, want))
    assert {each.command for each in found} == {ipvs_codec.DELETE_BACKEND}
    deleted = [netlink.attributes(netlink.attributes(each.message.body[4:])[2]) for each in found]
    ports = {(_address(each, STREAM), int.from_bytes(each[2], "big")) for each in deleted}
    assert ports == strays


def test_a_netmask_of_hands_is_edited_away_and_thresholds_are_set_to_none() -> None:
    want = ipvs_entries.entries(virtual(WEB, 1, 2))
    masked = dataclasses.replace(want[STREAM].settings, netmask=b"\xff\xff\xff\0")
    have = want | {STREAM: Entry(settings=masked, weights={ONE: -1, TWO: 2})}
    assert commands(have, want) == [(0, ipvs_codec.SET_SERVICE), (0, ipvs_codec.SET_BACKEND)]
    edited, weighed = (each.message for each in ipvs_entries.changes(FAMILY, have, want))
    service = netlink.attributes(netlink.attributes(edited.body[4:])[1])
    assert service[9] == b"\xff\xff\xff\xff"
    backend = netlink.attributes(netlink.attributes(weighed.body[4:])[2])
    assert (backend[4], backend[5], backend[6]) == (b"\1\0\0\0", bytes(4), bytes(4))


def applied(have: Entries, want: Entries) -> dict[Key, Entry]:
    """What a kernel holds after the requests."""
    *_, last = steps(have, want)
    return last


def steps(have: Entries, want: Entries) -> Iterator[dict[Key, Entry]]:
    """What a kernel holds before the first request and after each, decoded from their bytes."""
    yield dict(have)
    services = {key: (each.settings, dict(each.weights)) for key, each in have.items()}
    for change in ipvs_entries.changes(FAMILY, have, want):
        attributes = netlink.attributes(change.message.body[4:])
        backend = netlink.attributes(attributes.get(2, b""))
        match change.command:
            case ipvs_codec.NEW_SERVICE | ipvs_codec.SET_SERVICE:
                ((_, settings),) = ipvs_codec.to_services(
                    (netlink.Reply(FAMILY, change.message.body),)
                )
                services[change.key] = (settings, services.get(change.key, (None, {}))[1])
            case ipvs_codec.DELETE_SERVICE:
                del services[change.key]
            case ipvs_codec.DELETE_BACKEND:
                del services[change.key][1][_address(backend, change.key)]
            case _:
                address = _address(backend, change.key)
                assert (address in services[change.key][1]) == (
                    change.command == ipvs_codec.SET_BACKEND
                )
                services[change.key][1][address] = netlink.to_int(backend[4])
        yield {
            key: Entry(settings=how, weights=dict(weights))
            for key, (how, weights) in services.items()
        }


def _address(backend: dict[int, bytes], key: Key) -> IPAddress:
    return ip_address(backend[1][: 4 if key.version == 4 else 16])


@given(virtual_services(VIPS[0]), virtual_services(VIPS[0]))
def test_the_requests_lead_from_what_is_to_what_should_be(
    before: table.VirtualService, after: table.VirtualService
) -> None:
    have, want = ipvs_entries.entries(before), ipvs_entries.entries(after)
    assert applied(have, want) == want
    assert applied({}, want) == want
    assert applied(have, {}) == {}


def test_backups_take_over_before_the_members_rest() -> None:
    have, want = (ipvs_entries.entries(virtual(WEB, *weights)) for weights in ((10, 0), (0, 10)))
    weights = [each[STREAM].weights for each in steps(have, want)]
    assert weights[0] == {ONE: 10, TWO: 0}
    assert {ONE: 10, TWO: 10} in weights
    assert {ONE: 0, TWO: 0} not in weights


@given(reweighed())
def test_who_takes_connections_before_and_after_takes_them_between_any_two_requests(
    both: tuple[table.VirtualService, table.VirtualService],
) -> None:
    before, after = both
    if before.open and after.open:
        for now in steps(ipvs_entries.entries(before), ipvs_entries.entries(after)):
            assert all(any(each.weights.values()) for each in now.values())


@given(virtual_services(VIPS[0]))
def test_a_stream_entry_reads_as_its_virtual_service(
    service: table.VirtualService,
) -> None:
    stream, _ = ipvs_entries.keys(service)
    entry = ipvs_entries.entries(service)[stream]
    assert ipvs_entries.virtual(service.vip, service.number, entry) == service


def test_a_scheduler_we_never_set_is_no_virtual_service() -> None:
    entry = Entry(settings=Settings(scheduler="twos"), weights={})
    assert ipvs_entries.virtual(WEB, 7, entry) is None
