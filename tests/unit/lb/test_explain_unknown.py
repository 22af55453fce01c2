"""What cannot be traced says why, and what to ask instead."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from lb import explain_unknown
from lb.explain_unknown import Asked
from sdd.model import ids
from sdd.model.port import Port, Protocol
from tests.unit.lb import ingress_states, states

PORTS = (Port(published=8080, target=80), Port(published=5300, target=53, protocol=Protocol.UDP))
NAMES = replace(
    states.svc("names", "front", "10.1.0.101"), vips=(), ports=(Port(published=1, target=1),)
)
TOWN = ingress_states.town(
    ingress_states.shop(*PORTS),
    NAMES,
    states.box("safe"),
    states.plug("safe", "vault", "10.3.0.2/24"),
)


def asked(to: str, port: int = 0, protocol: Protocol = Protocol.TCP) -> Asked:
    address = ip_address(to) if to[0].isdigit() else None
    return Asked(to, address, port, protocol)


@pytest.mark.parametrize(
    ("box", "to", "sentence", "hint"),
    [
        ("web", "names", "endpoint mode is dnsrr", "sdctl dns trace names --from web, or a pub"),
        ("safe", "shop", "not on front, the network of service shop", "connect front safe"),
        ("web", "nobody", "'nobody' is no virtual address", "it sees: shop (10.1.0.100)"),
        ("web", "10.1.0.7", "'10.1.0.7' is no virtual address", "it sees: shop"),
        ("safe", "nobody", "'nobody' is no virtual address", "no service with a virtual"),
    ],
)
def test_a_sandbox_hears_why_it_does_not_see_it(
    box: str, to: str, sentence: str, hint: str
) -> None:
    told = explain_unknown.of_sandbox(TOWN, TOWN.sandboxes[ids.SandboxId(box)], asked(to))
    assert sentence in told.sentence
    assert hint in told.hint


@pytest.mark.parametrize(
    ("port", "sentence", "hint"),
    [
        (0, "no virtual one", "192.0.2.1:PORT; published are: 8080/tcp, 5300/udp"),
        (5300, "port 5300/tcp is not published at 192.0.2.1", "5300/udp is: add /udp"),
        (9, "port 9/tcp is not published", "published are: 8080/tcp, 5300/udp"),
    ],
)
def test_an_address_of_the_host_has_its_ports(port: int, sentence: str, hint: str) -> None:
    told = explain_unknown.of_host(TOWN, asked("192.0.2.1", port))
    assert sentence in told.sentence
    assert hint in told.hint


def test_loopback_is_the_sandboxs_own() -> None:
    told = explain_unknown.of_loopback(asked("127.0.0.1", 8080))
    assert "the sandbox itself" in told.sentence
