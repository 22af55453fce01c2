"""What of services is refused, in one sentence with its code, changes nothing (docker.md 1.6 and 3.9)."""

from ipaddress import IPv6Address

import pytest

from sdd import errors
from sdd.model import request, service
from tests.scenario.node import Node
from tests.scenario.refusals.asking import (
    TCP,
    V4,
    Case,
    assert_refused,
    case,
    make_svc,
)

SERVICES = [
    case(
        "name_taken",
        make_svc("web", "lab"),
        errors.Conflict,
        "SDD-SERVICE-EXISTS",
        "web",
        "already exists",
    ),
    case(
        "tasks_name", make_svc("tasks.web", "lab"), errors.Invalid, "SDD-SERVICE-NAME", "tasks.web"
    ),
    case("on_default", make_svc("s", "bridge"), errors.Invalid, "SDD-SERVICE-NETWORK", "bridge"),
    case(
        "unknown_network", make_svc("s", "nowhere"), errors.NotFound, "SDD-NET-NOTFOUND", "nowhere"
    ),
    case(
        "vip_outside",
        make_svc("s", "lab", vips=(V4("10.99.0.1"),)),
        errors.Invalid,
        "SDD-IPAM-OUTSIDE",
        "10.99.0.1",
    ),
    case(
        "vip_of_other_family",
        make_svc("s", "lab", vips=(IPv6Address("fd00::1"),)),
        errors.Invalid,
        "SDD-IPAM-OUTSIDE",
        "fd00::1",
    ),
    case(
        "vip_taken",
        make_svc("s", "lab", vips=(V4("10.80.0.9"),)),
        errors.Conflict,
        "SDD-IPAM-INUSE",
        "10.80.0.9",
        "db",
    ),
    case(
        "vip_of_another",
        make_svc("s", "lab", vips=(V4("10.80.0.2"),)),
        errors.Conflict,
        "SDD-IPAM-INUSE",
        "service web",
    ),
    case(
        "vip_twice",
        make_svc("s", "lab", vip=V4("10.80.0.77"), vips=(V4("10.80.0.77"),)),
        errors.Invalid,
        "SDD-SERVICE-VIP",
        "10.80.0.77, 10.80.0.77",
    ),
    case(
        "vips_of_one_version",
        make_svc("s", "lab", vips=(V4("10.80.0.77"), V4("10.80.0.78"))),
        errors.Invalid,
        "SDD-SERVICE-VIP",
        "10.80.0.77, 10.80.0.78",
    ),
    case(
        "vip_and_dnsrr",
        make_svc("s", "lab", vips=(V4("10.80.0.77"),), mode=service.EndpointMode.DNSRR),
        errors.Invalid,
        "SDD-SERVICE-VIP",
        "dnsrr",
    ),
    case(
        "vip_gateway",
        make_svc("s", "lab", vips=(V4("10.80.0.1"),)),
        errors.Conflict,
        "SDD-IPAM-INUSE",
        "10.80.0.1",
        "gateway",
    ),
    case(
        "vip_network_address",
        make_svc("s", "lab", vips=(V4("10.80.0.0"),)),
        errors.Invalid,
        "SDD-IPAM-RESERVED",
        "10.80.0.0",
    ),
    case(
        "vip_broadcast",
        make_svc("s", "lab", vips=(V4("10.80.0.255"),)),
        errors.Invalid,
        "SDD-IPAM-RESERVED",
        "10.80.0.255",
    ),
    case(
        "weight_out_of_range",
        make_svc("s", "lab", weight=65536),
        errors.Invalid,
        "SDD-MEMBER-WEIGHT",
        "65536",
        "65535",
    ),
    case(
        "quorum_none",
        make_svc("s", "lab", quorum=0),
        errors.Invalid,
        "SDD-SERVICE-QUORUM",
        "quorum 0",
    ),
    case(
        "panic_over_all",
        make_svc("s", "lab", panic=101),
        errors.Invalid,
        "SDD-SERVICE-PANIC",
        "101",
    ),
    case(
        "slow_start_negative",
        make_svc("s", "lab", slow_start_s=-1.0),
        errors.Invalid,
        "SDD-SERVICE-SLOWSTART",
        "-1 s",
    ),
    case(
        "slow_start_without_weights",
        make_svc("s", "lab", slow_start_s=30.0, scheduler=service.Scheduler.RR),
        errors.Invalid,
        "SDD-SERVICE-SLOWSTART",
        "rr does not share by weight",
        "wrr",
    ),
    case(
        "slow_start_of_names",
        make_svc("s", "lab", slow_start_s=30.0, mode=service.EndpointMode.DNSRR),
        errors.Invalid,
        "SDD-SERVICE-SLOWSTART",
        "dnsrr",
    ),
    case(
        "interval_of_no_check",
        make_svc("s", "lab", health=service.HealthCheck(interval_s=5.0)),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "--health-interval has no effect without a health check",
    ),
    case(
        "status_of_a_datagram",
        make_svc(
            "s",
            "lab",
            health=service.HealthCheck(kind=service.CheckKind.UDP, port=53, status_high=200),
        ),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "--health-status has no effect for a udp check",
    ),
    case(
        "scheduler_of_names",
        make_svc("s", "lab", scheduler=service.Scheduler.RR, mode=service.EndpointMode.DNSRR),
        errors.Invalid,
        "SDD-SERVICE-IDLE",
        "--scheduler has no effect in endpoint mode dnsrr",
    ),
    case(
        "persistence_of_names",
        make_svc("s", "lab", persistence_s=60, mode=service.EndpointMode.DNSRR),
        errors.Invalid,
        "SDD-SERVICE-IDLE",
        "--persistence has no effect",
    ),
    case(
        "health_port",
        make_svc("s", "lab", health=service.HealthCheck(kind=TCP, port=0)),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "port 0",
    ),
    case(
        "health_path",
        make_svc(
            "s", "lab", health=service.HealthCheck(kind=service.CheckKind.HTTP, port=80, path="a b")
        ),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "path",
    ),
    case(
        "health_ttl",
        make_svc("s", "lab", health=service.HealthCheck(kind=service.CheckKind.TTL)),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "ttl",
    ),
    case(
        "health_command",
        make_svc("s", "lab", health=service.HealthCheck(kind=service.CheckKind.EXEC, command=" ")),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "which command",
    ),
    case(
        "health_dns_name",
        make_svc("s", "lab", health=service.HealthCheck(kind=service.CheckKind.DNS, port=53)),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "name",
    ),
    case(
        "health_host",
        make_svc(
            "s", "lab", health=service.HealthCheck(kind=service.CheckKind.TLS, port=53, host="a..b")
        ),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "a..b",
    ),
    case(
        "health_status",
        make_svc(
            "s",
            "lab",
            health=service.HealthCheck(
                kind=service.CheckKind.HTTP, port=80, path="/", status_low=400, status_high=200
            ),
        ),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "400 to 200",
    ),
    case(
        "health_long",
        make_svc(
            "s",
            "lab",
            health=service.HealthCheck(kind=service.CheckKind.UDP, port=80, send="x" * 600),
        ),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "512",
    ),
    case(
        "health_fast",
        make_svc("s", "lab", health=service.HealthCheck(kind=TCP, port=80, fast_s=0)),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "fast interval",
    ),
    case(
        "health_interval",
        make_svc("s", "lab", health=service.HealthCheck(kind=TCP, port=1, interval_s=0)),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "interval",
    ),
    case(
        "health_rise",
        make_svc("s", "lab", health=service.HealthCheck(kind=TCP, port=1, rise=0)),
        errors.Invalid,
        "SDD-SERVICE-HEALTH",
        "rise",
    ),
    case("drain", make_svc("s", "lab", drain_s=-1.0), errors.Invalid, "SDD-SERVICE-TIME", "drain"),
    case(
        "long", make_svc("s", "lab", drain_s=86401.0), errors.Invalid, "SDD-SERVICE-TIME", "86401 s"
    ),
    case(
        "for ever",
        make_svc("s", "lab", persistence_s=99999999999999),
        errors.Invalid,
        "SDD-SERVICE-TIME",
        "a persistence of 99999999999999 s is not between 0 and 2592000 s",
    ),
    case(
        "bad_alias",
        make_svc("s", "lab", aliases=("a..b",)),
        errors.Invalid,
        "SDD-NAME-HOST",
        "a..b",
    ),
    case(
        "joined_twice",
        lambda one: one.commands.join("web", request.Join(sandbox="db")),
        errors.Conflict,
        "SDD-MEMBER-EXISTS",
        "db",
        "web",
    ),
    case(
        "join_without_network",
        lambda one: one.commands.join("mute", request.Join(sandbox="db")),
        errors.Conflict,
        "SDD-MEMBER-NETWORK",
        "quiet",
        "db",
    ),
    case(
        "join_weight",
        lambda one: one.commands.join("web", request.Join(sandbox="other", weight=65536)),
        errors.Invalid,
        "SDD-MEMBER-WEIGHT",
        "65536",
    ),
    case(
        "set_weight",
        lambda one: one.commands.set_weight("web", "db", -1),
        errors.Invalid,
        "SDD-MEMBER-WEIGHT",
        "-1",
    ),
    case(
        "leave_no_member",
        lambda one: one.commands.leave("web", "other"),
        errors.NotFound,
        "SDD-MEMBER-NOTFOUND",
        "other",
    ),
    case(
        "unknown_rm",
        lambda one: one.commands.remove_service("nothing"),
        errors.NotFound,
        "SDD-SERVICE-NOTFOUND",
        "nothing",
    ),
]


@pytest.mark.parametrize("case", SERVICES)
async def test_refused(lab: Node, case: Case) -> None:
    await assert_refused(lab, case)
