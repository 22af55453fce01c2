"""What the host does with a packet to a published port, in words."""

from ipaddress import ip_address

import pytest

from lb import explain_port
from sdd.model.port import Mode, Policy, Port, Protocol
from tests.unit.lb import ingress_states, states

HOST = ip_address("192.0.2.1")


def told(*ports: Port, number: int = 8080, protocol: Protocol = Protocol.TCP) -> list[str]:
    now = ingress_states.town(ingress_states.shop(*ports))
    found = explain_port.published(now, states.NODE, HOST, number, protocol)
    if found is None:
        return []
    return [f"{step.stage}: {step.text}" for step in explain_port.on_host(now, found, HOST)]


def test_mode_ingress_leads_to_the_ingress_sandbox() -> None:
    first, host = told(ingress_states.port())
    assert first.startswith("port 8080/tcp: published by service shop: mode=ingress")
    assert "192.0.2.1:8080 is rewritten to 10.0.0.200:80" in host
    assert "the source stays the client's" in host
    snat = told(ingress_states.port(policy=Policy.SNAT))
    assert "instead of the client's" in snat[1]


def test_mode_host_leads_straight_to_members() -> None:
    steps = told(Port(published=8080, target=80, mode=Mode.HOST))
    assert "leads to port 80 of web (10.1.0.2) weight 3" in steps[1]
    assert steps[2] == "choice: 10.1.0.2 is the only one"
    assert "straight to the member" in steps[3]


@pytest.mark.parametrize(("number", "protocol"), [(8081, Protocol.TCP), (8080, Protocol.UDP)])
def test_what_is_not_published_is_nothing(number: int, protocol: Protocol) -> None:
    assert told(ingress_states.port(), number=number, protocol=protocol) == []


def test_a_port_without_members_says_that_nobody_is_there() -> None:
    shop = ingress_states.shop(Port(published=8080, target=80, mode=Mode.HOST))
    empty = states.state(*ingress_states.GROUND, shop)
    found = explain_port.published(empty, states.NODE, HOST, 8080, Protocol.TCP)
    assert found is not None
    *_, last = explain_port.on_host(empty, found, HOST)
    assert "refused" in last.text


def test_the_ingress_sandbox_takes_over_at_the_services_address() -> None:
    now = ingress_states.town()
    found = explain_port.published(now, states.NODE, HOST, 8080, Protocol.TCP)
    assert found is not None
    (box,) = now.ingress_sandboxes
    target = explain_port.onward(now, found, box)
    assert target is not None
    assert str(target.vip) == "10.0.0.200"
