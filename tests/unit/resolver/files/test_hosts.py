"""The hosts file."""

from dataclasses import replace

import pytest

from resolver.files import hosts
from tests import resolver_states as states


def test_R13_localhost_then_added_hosts_then_own_addresses_ipv4_first() -> None:
    box = states.box("web", extra=(("printer", "192.0.2.5"),))
    ends = [
        states.plug("web", "red", "fd00::2/64", "10.44.1.2/24"),
        states.plug("web", "blue", "10.44.2.2/24"),
    ]
    lines = hosts.render(box, ends).splitlines()
    assert lines[0] == "127.0.0.1\tlocalhost"
    assert lines[6:] == [
        "192.0.2.5\tprinter",
        "10.44.1.2\tweb",
        "fd00::2\tweb",
        "10.44.2.2\tweb",
    ]


def test_R13_a_qualified_hostname_has_its_short_form_too() -> None:
    box = states.box("web", hostname="web.corp.example")
    text = hosts.render(box, [states.plug("web", "red", "10.44.1.2/24")])
    assert text.endswith("10.44.1.2\tweb.corp.example web\n")


def test_C52_where_ipv6_is_off_no_line_has_an_ipv6_address() -> None:
    box = states.box("web", extra=(("printer", "192.0.2.5"), ("six", "2001:db8::5")))
    text = hosts.render(box, [states.plug("web", "red", "fd00::2/64", "10.44.1.2/24")])
    assert hosts.without_ipv6(text) == (
        "127.0.0.1\tlocalhost\n192.0.2.5\tprinter\n10.44.1.2\tweb\n"
    )


def test_C53_own_lines_come_and_go_with_networks_and_added_hosts_stay() -> None:
    box = states.box("web", extra=(("printer", "192.0.2.5"),))
    red = states.plug("web", "red", "10.44.1.2/24")
    blue = states.plug("web", "blue", "10.44.2.2/24")
    base = hosts.render(box, [])
    assert base.endswith("192.0.2.5\tprinter\n")
    assert hosts.render(box, [red, blue]) == f"{base}10.44.1.2\tweb\n10.44.2.2\tweb\n"
    assert hosts.render(box, [red]) == f"{base}10.44.1.2\tweb\n"
    assert hosts.render(box, [blue, red]).splitlines()[-1] == "10.44.1.2\tweb"


@pytest.mark.parametrize(
    ("there", "kept"),
    [
        (b"127.0.0.1 l\n10.1.0.2\tcl\n1.2.3.4 app\n", b"127.0.0.1 l\n1.2.3.4 app\n10.2.0.3\tcl\n"),
        (b"10.1.0.2\tcl\n1.2.3.4 app", b"1.2.3.4 app\n10.2.0.3\tcl\n"),  # no end of line
        (b"10.1.0.2 cl\n", b"10.1.0.2 cl\n10.2.0.3\tcl\n"),  # not as we wrote it
        (b"10.2.0.3\tcl\n", b"10.2.0.3\tcl\n"),  # somebody was first, or we died meanwhile
        (b"\n\n# x\n", b"\n\n# x\n10.2.0.3\tcl\n"),  # who took ours out does not get it again
        (b"", b"10.2.0.3\tcl\n"),
    ],
)
def test_R14_in_an_edited_file_only_our_own_lines_change(there: bytes, kept: bytes) -> None:
    before, now = b"127.0.0.1 l\n10.1.0.2\tcl\n", b"127.0.0.1 l\n10.2.0.3\tcl\n"
    assert hosts.kept_up(there, before, now) == kept
    assert hosts.kept_up(kept, before, now) == kept
    assert hosts.kept_up(there, now, now) == there


@pytest.mark.parametrize("hostname", ["localhost", "LocalHost", "a.localhost"])
def test_A8_17_localhost_is_the_loopback_address_whatever_the_hostname(hostname: str) -> None:
    box = replace(states.box("web"), hostname=hostname)
    lines = hosts.render(box, [states.plug("web", "red", "10.44.1.2/24")]).splitlines()
    assert lines[-1] == "10.44.1.2\tweb"
    assert [line for line in lines if "localhost" in line] == list(hosts.BASE[:2])
