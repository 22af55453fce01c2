"""Which member a sign is about."""

import time
from dataclasses import replace
from ipaddress import ip_address

from lb.probes import Probes
from sdd.model import health, ids
from sdd.model.service import CheckKind
from tests.unit.lb import states
from tests.unit.lb.test_probes import SELDOM, run
from tests.unit.lb.watched import TOWN, World


async def test_a_sign_about_any_address_of_a_member_is_one_about_the_member() -> None:
    """Clients meet it at each of them; of its check there is but one."""
    world = World()
    town = states.state(
        *TOWN[:2],
        states.plug("web1", "front", "10.0.1.1/24", "fd00::1/64"),
        states.svc(
            "web", "front", "10.0.1.100", check=replace(SELDOM, kind=CheckKind.EXEC, command="true")
        ),
        *(TOWN[4], states.verdict("web", "web1", "front", health.Status.UP)),
    )
    probes = Probes(world.record, states.NODE, time.monotonic, lambda: 0.5, dial=world.dial)
    async with run(probes, town):
        await world.until(lambda: world.dialled == 1)
        for count, address in enumerate(("10.0.1.1", "fd00::1"), 1):
            probes.unreached(ip_address(address))
            assert probes.suspicions() == {ids.ServiceId("web"): count}
        probes.unreached(ip_address("fd00::2"))
        assert probes.suspicions() == {ids.ServiceId("web"): 2}
