"""Members on networks of many kinds answer clients of ports that every node opens.

What differs is whether the kind gives its sandboxes a default route: an answer begins by one.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from types import MappingProxyType

import pytest

from lb import checked as checking
from lb import dial
from lb.dial import Result
from sdd.model import request
from sdd.model.network import Driver, IPAddress
from sdd.model.service import CheckKind, HealthCheck
from tests.kernel.ingress_town import PARENT, PORTS, IngressTown
from tests.kernel.ingress_traffic import BOTH
from tests.kernel.lb_town import Answer
from tests.scenario.node import NODE

WEB, TALK = 8090, 5390
_POOL = request.PoolSpec(subnet=ip_network("10.88.0.0/24"))
_WITH = replace(_POOL, gateway=ip_address("10.88.0.1"))
UNHEARD_S = 4.0  # who hears no answer until then hears none
CHECK = HealthCheck(kind=CheckKind.TCP, port=80, timeout_s=1.0)


def kind(driver: Driver, pool: request.PoolSpec = _POOL, **options: str) -> request.NetworkCreate:
    """Children stand on a link of the host: without one their network would be internal."""
    if driver is not Driver.BRIDGE:
        options = {"parent": PARENT, **options}
    return request.NetworkCreate(name="kind", driver=driver, pools=(pool,), options=options)


def internal(
    driver: Driver, pool: request.PoolSpec = _POOL, **options: str
) -> request.NetworkCreate:
    return replace(kind(driver, pool, **options), internal=True)


MACVLAN, IPVLAN = Driver.MACVLAN, Driver.IPVLAN
COMMON: Mapping[str, request.NetworkCreate] = MappingProxyType(
    {
        "bridge": kind(Driver.BRIDGE),
        "bridge-internal": internal(Driver.BRIDGE),
        "macvlan": kind(MACVLAN),
        "macvlan-gateway": kind(MACVLAN, _WITH),
        "macvlan-internal": internal(MACVLAN, _WITH),
    }
)
# Modules that Debian's kernel has.
FULL: Mapping[str, request.NetworkCreate] = MappingProxyType(
    {
        **COMMON,
        "ipvlan-l2": kind(IPVLAN),
        "ipvlan-l2-gateway": kind(IPVLAN, _WITH),
        "ipvlan-l2-internal": internal(IPVLAN, _WITH),
        "ipvlan-l3": kind(IPVLAN, ipvlan_mode="l3"),
        "ipvlan-l3s": kind(IPVLAN, ipvlan_mode="l3s"),
        "ipvlan-l3-internal": internal(IPVLAN, ipvlan_mode="l3"),
    }
)


@contextlib.contextmanager
def member(town: IngressTown, asked: request.NetworkCreate) -> Iterator[str]:
    """The one of a service with such ports, on a network of that kind; strict about sources."""
    plug = request.Attachment(network="kind")
    ports = tuple(replace(each, published=at) for each, at in zip(PORTS, (WEB, TALK), strict=True))
    made = request.ServiceCreate(name="kinds", network="kind", publish=ports, drain_s=0.0)
    town.do(
        lambda one: one.commands.create_network(asked),
        lambda one: one.commands.create_sandbox(
            request.SandboxCreate(name="m1", attachments=(plug,))
        ),
        lambda one: one.commands.create_service(made),
        lambda one: one.commands.join("kinds", request.Join(sandbox="m1")),
    )
    links = town.inside("m1", "ls", "/proc/sys/net/ipv4/conf").split()
    town.inside("m1", "sysctl", "-qw", *(f"net.ipv4.conf.{each}.rp_filter=1" for each in links))
    town.start("m1")
    try:
        yield "m1"
    finally:
        town.stop("m1")
        town.do(
            lambda one: one.commands.remove_service("kinds"),
            lambda one: one.commands.remove_sandbox("m1"),
            lambda one: one.commands.remove_network("kind"),
        )


def checked(town: IngressTown) -> dict[int, Result]:
    """What checks of the way that clients come find, by IP version."""
    state = town.state
    (svc,) = (each for each in state.services.values() if each.name == "kinds")
    watched = replace(state, services={**state.services, svc.id: replace(svc, health=CHECK)})
    (found,) = (
        each
        for (of, _), each in checking.checked(watched, checking.nothing(NODE)).checks.items()
        if of == svc.id
    )
    dialled = dial.through(town.doors)

    async def all_of_them() -> dict[int, Result]:
        ways = [each for each in found.each if each.is_ingress]
        results = {each.address.version: await dialled(each) for each in ways}
        return {at: each for at, each in results.items() if isinstance(each, Result)}

    return asyncio.run(all_of_them())


class IngressWays:
    """Subclasses give `town`, and tests that call `answers` with the kinds that they have."""

    def answers(self, town: IngressTown, asked: request.NetworkCreate) -> None:
        with member(town, asked) as name:
            for to, seen in BOTH:
                assert town.ask("client", to, WEB) == Answer(name, seen)
                assert town.ask_udp("client", to, TALK) == Answer(name, seen)
            assert {at: each.passed for at, each in checked(town).items()} == {4: True, 6: True}

    @pytest.mark.parametrize(
        ("asked", "damage"),
        [
            (COMMON["bridge"], "nft flush chain inet sdd-ingress answering"),
            (COMMON["bridge"], "ip route del default"),
            (COMMON["bridge-internal"], "ip rule del pref 33000"),
        ],
        ids=["unmarked", "no default route", "no last rule"],
    )
    def test_a_check_fails_where_clients_hear_no_answer(
        self, town: IngressTown, asked: request.NetworkCreate, damage: str
    ) -> None:
        """The ingress sandbox itself would be answered: members have a route to it."""
        to: IPAddress = BOTH[0][0]
        with member(town, asked) as name:
            found = checked(town)
            assert found[4].passed, found
            town.inside(name, *damage.split())
            with contextlib.closing(town.opened("client", socket.SOCK_STREAM)) as unheard:
                unheard.settimeout(UNHEARD_S)
                with pytest.raises(TimeoutError):
                    unheard.connect((str(to), WEB))
            assert not checked(town)[4].passed
            town.mend()
            assert town.ask("client", to, WEB).who == name
            assert checked(town)[4].passed
