"""Servers as people write them."""

import re
from ipaddress import ip_address

import pytest

from sdd.model import nameserver
from sdd.model.nameserver import Transport


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.53",
        "fd00::53",
        "udp://10.0.0.53:5353",
        "tcp://10.0.0.53",
        "tls://9.9.9.9#dns.quad9.net",
        "tls://[2620:fe::fe]:8853",
        "https://9.9.9.9/dns-query#dns.quad9.net",
        "https://9.9.9.9:8443/other",
        "quic://94.140.14.14#dns.adguard-dns.com",
    ],
)
def test_what_is_written_is_what_is_read(text: str) -> None:
    assert str(nameserver.parse(text)) == text


def test_defaults_are_those_of_the_rfcs() -> None:
    ports = {each: nameserver.parse(f"{each}://192.0.2.1").port for each in Transport}
    assert ports == {"udp": 53, "tcp": 53, "tls": 853, "https": 443, "quic": 853}
    assert nameserver.parse("https://192.0.2.1").path == "/dns-query"
    assert nameserver.parse("tls://192.0.2.1#DNS.Example.").name == "dns.example"
    assert nameserver.parse("udp://192.0.2.1").is_plain
    assert not nameserver.parse("tcp://192.0.2.1").is_plain


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "address"),
        ("dns.example", "address"),
        ("tls://dns.example", "form"),
        ("ftp://192.0.2.1", "transports are"),
        ("tls://192.0.2.1/path", "only https"),
        ("udp://192.0.2.1#name", "only encrypted"),
        ("tls://192.0.2.1:0", "port"),
        ("tls://192.0.2.1:65536", "port"),
        ("tls://192.0.2.1#-bad.example", "host name"),
        ("tls://192.0.2.1#a..b", "host name"),
        ("https://192.0.2.1/a b", "form"),
        ("tls://192.0.2.1\n", "form"),
        ("tls://192.0.2.999", "192.0.2.999"),
        ("fe80::1%eth0", "names a link.* never in the sandbox"),
        ("tls://[fe80::1%eth0]:853#a", "names a link.* never in the sandbox"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("udp://[::]:53", "unspecified"),
    ],
)
def test_what_is_wrong_is_said(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        nameserver.parse(text)


def test_a_server_that_is_asked_from_the_host_may_name_a_link_of_it() -> None:
    assert str(nameserver.parse("fe80::1%eth0", ip_address)) == "fe80::1%eth0"
    with pytest.raises(ValueError, match="unspecified"):
        nameserver.parse("::", ip_address)


@pytest.mark.parametrize("text", ["8.8.8.8:53", "[2001:db8::1]:5353"])
def test_who_gives_a_port_to_an_address_hears_of_the_form_that_has_one(text: str) -> None:
    with pytest.raises(ValueError, match=f"with a port it is udp://{re.escape(text)}"):
        nameserver.parse(text)
    assert nameserver.parse(f"udp://{text}").port in (53, 5353)
