"""Names in sandboxes on macvlan and ipvlan, with the kernel of the lab.

All modes at once: on an emulated machine a DNS worker takes 20 s to start, so they share one.
"""

from pathlib import Path

from sdd.model import network
from sdd.state import Object
from tests.kernel.netns.conftest import Host, host
from tests.kernel.resolver.town import Town
from tests.netns_states import at, box, end, net

__all__ = ["host"]

MACVLAN, IPVLAN = network.Driver.MACVLAN, network.Driver.IPVLAN
MODES = {
    "bridged": (MACVLAN, {"macvlan_mode": "bridge"}),
    "l2": (IPVLAN, {"ipvlan_mode": "l2"}),
    "l3": (IPVLAN, {"ipvlan_mode": "l3"}),
    "l3s": (IPVLAN, {"ipvlan_mode": "l3s"}),
}


def lan(host: Host, number: int, mode: str) -> list[Object]:
    """A network of the mode, on a parent of its own, with two sandboxes: .2 and .3."""
    parent, prefix = f"up{number}", f"10.77.{number}"
    host.run("ip", "link", "add", parent, "type", "dummy")
    host.run("ip", "link", "set", parent, "up")
    driver, options = MODES[mode]
    made = net(mode, f"{prefix}.0/24", driver=driver, options={"parent": parent, **options})
    ann, bob = (box(each, host.sandbox_path(each)) for each in (f"ann-{mode}", f"bob-{mode}"))
    return [made, ann, bob, end(made, ann, f"{prefix}.2"), end(made, bob, f"{prefix}.3")]


def asked(host: Host, sandbox: str, *questions: str) -> list[str]:
    """The answers to all questions, by one process: each takes a second to start."""
    words = ("+short", "+time=60", "@127.0.0.11", *questions)
    return host.inside(sandbox, "dig", *words).split()


async def test_C25_names_are_answered_on_every_driver_and_lead_to_the_sandbox(
    host: Host, tmp_path: Path
) -> None:
    town = Town(tmp_path / "town")
    values = (each for number, mode in enumerate(MODES) for each in lan(host, number, mode))
    now = at(1, *values)
    try:
        await host.settle(now)
        outcome = await town.daemon().realise(now)
        assert outcome.failures == ()
        for number, mode in enumerate(MODES):
            asking, name, address = f"ann-{mode}", f"bob-{mode}", f"10.77.{number}.3"
            elsewhere = f"bob-{'l3s' if mode == 'l2' else 'l2'}"
            found = asked(host, asking, name, f"{name}.{mode}", "-x", address, elsewhere)
            assert found == [address, address, f"{name}.{mode}."]
            assert " 0% packet loss" in host.inside(asking, "ping", "-c1", "-w60", address)
    finally:
        await town.close()
