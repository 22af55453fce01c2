"""From where a member is checked."""

from dataclasses import replace

import pytest

from lb import checked
from sdd.model import ids, network, service
from tests.netns_states import NODE, at, box, end, net

ISOLATED = {"bridge.gateway_mode_ipv4": "isolated"}


@pytest.mark.parametrize(
    ("on", "is_inside"),
    [
        (net("bridged", "10.1.0.0/24"), False),
        (net("isolated", "10.1.0.0/24", internal=True, options=ISOLATED), True),
        (net("lan", "10.1.0.0/24", driver=network.Driver.MACVLAN), True),
        (net("routed", "10.1.0.0/24", driver=network.Driver.IPVLAN), True),
        (replace(net("far", "10.1.0.0/24"), driver=network.Driver.OVERLAY), False),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_member_that_the_host_cannot_reach_is_dialled_from_inside(
    on: network.Network, is_inside: bool
) -> None:
    one = box("one", "/run/sdd/netns/one")
    at_end = end(on, one, "10.1.0.2")
    how = service.HealthCheck(kind=service.CheckKind.TCP, port=80)
    web = service.Service(id=ids.ServiceId("web"), name="web", network=on.id, number=1, health=how)
    member = service.Member(service=web.id, endpoint=at_end.id, sandbox=one.id, node=NODE)
    (check,) = checked.checked(
        at(1, on, one, at_end, web, member), checked.nothing(NODE)
    ).checks.values()
    assert check.inside == (one.netns if is_inside else "")
