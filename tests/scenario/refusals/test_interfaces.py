"""What of an endpoint's own options is refused, in one sentence with its code (docker.md C79)."""

from ipaddress import IPv6Address

import pytest

from sdd import errors
from sdd.model.interface import IFNAME, SYSCTLS
from tests.scenario.node import Node
from tests.scenario.refusals.asking import Case, assert_refused, case, make_box, on

INTERFACES = [
    case(
        "C79_unknown_option",
        make_box("x", on("lab", driver_opts={"com.docker.network.endpoint.mtu": "1"})),
        errors.Invalid,
        "SDD-NET-OPTION",
        "com.docker.network.endpoint.mtu",
        "com.docker.network.endpoint.ifname",
    ),
    *(
        case(
            f"C79_sysctl_{name}",
            make_box("x", on("lab", driver_opts={SYSCTLS: text})),
            errors.Invalid,
            "SDD-NET-OPTION",
            *words,
        )
        for name, text, words in (
            ("of_a_named_link", "net.ipv4.conf.eth0.rp_filter=1", ("IFNAME", "eth0")),
            ("of_the_system", "kernel.core_pattern=|/x", ("kernel.core_pattern",)),
            ("is_a_path", "net.ipv4.conf.IFNAME.../../ip_forward=1", ("../",)),
            ("says_no_number", "net.ipv4.conf.IFNAME.rp_filter=1 2", ("'1 2'", "whole number")),
            ("is_empty", "", ("IFNAME",)),
            ("twice", "net.ipv4.conf.IFNAME.mc=1,net.ipv4.conf.IFNAME.mc=2", ("twice",)),
            ("claims_services", "net.ipv4.conf.IFNAME.arp_ignore=0", ("arp_ignore", "claim")),
        )
    ),
    case(
        "C79_ip6_without_ipv6",
        make_box(
            "x",
            on(
                "lab",
                ip6=IPv6Address("fd00::9"),
                driver_opts={SYSCTLS: "net.ipv6.conf.IFNAME.disable_ipv6=1"},
            ),
        ),
        errors.Invalid,
        "SDD-NET-NOIPV6",
        "fd00::9",
        "disable_ipv6",
    ),
    *(
        case(
            f"link_name_{name}",
            make_box("x", on("lab", driver_opts={IFNAME: text})),
            errors.Invalid,
            "SDD-NET-OPTION",
            IFNAME,
            repr(text),
        )
        for name, text in (
            ("empty", ""),
            ("long", "sixteen-letters-"),
            ("path", "../eth0"),
            ("dot", "."),
            ("blank", "a b"),
            ("of_all_links", "all"),
            ("of_new_links", "default"),
        )
    ),
    case(
        "C165_link_name_loopback",
        make_box("x", on("lab", driver_opts={IFNAME: "lo"})),
        errors.Conflict,
        "SDD-NET-IFNAME",
        "lo",
    ),
]


@pytest.mark.parametrize("case", INTERFACES)
async def test_refused(lab: Node, case: Case) -> None:
    await assert_refused(lab, case)
