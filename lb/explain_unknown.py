"""What cannot be traced from a sandbox → why, and what to ask instead. Pure.

In: the state, a sandbox, and what a person wants to reach. Out: the error, `SDD-LB-VIP`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from lb import explain
from sdd import errors
from sdd.model import sandbox, service
from sdd.model.network import IPAddress
from sdd.model.port import Port, Protocol
from sdd.state import ClusterState

CODE = "SDD-LB-VIP"
_LISTED = 8


class Asked(NamedTuple):
    """What a person wants to reach; `address` None when `to` is no address, port 0 when none."""

    to: str
    address: IPAddress | None
    port: int
    protocol: Protocol


def of_sandbox(state: ClusterState, box: sandbox.Sandbox, asked: Asked) -> errors.NotFound:
    """Of what `box` does not see as a virtual address."""
    named = state.services_by_name.get(asked.to, ())
    if asked.address is None and named:
        return _of_service(state, box, named[0])
    seen = tuple(explain.targets(state, box))
    known = ", ".join(f"{each.service.name} ({each.vip})" for each in seen[:_LISTED])
    return errors.NotFound(
        f"{errors.quoted(asked.to)} is no virtual address that sandbox {box.name} sees",
        hint=f"it sees: {known}"
        if known
        else "no service with a virtual address is on its networks",
        code=CODE,
    )


def of_host(state: ClusterState, asked: Asked) -> errors.NotFound:
    """Of an address that the host has, at which nothing of the kind is published."""
    if not asked.port:
        return errors.NotFound(
            f"{asked.to} is an address of this host, and no virtual one",
            hint=f"add a published port, {asked.to}:PORT; {_published(state)}",
            code=CODE,
        )
    others = (
        each.protocol
        for publisher in state.publishers
        for each in publisher.ports
        if each.published == asked.port and each.protocol is not asked.protocol
    )
    other = next(others, None)
    return errors.NotFound(
        f"port {asked.port}/{asked.protocol} is not published at {asked.to}",
        hint=f"{asked.port}/{other} is: add /{other}" if other else _published(state),
        code=CODE,
    )


def of_loopback(asked: Asked) -> errors.NotFound:
    """Of 127.0.0.0/8 and ::1, which are each namespace's own."""
    return errors.NotFound(
        f"{asked.to} is the sandbox itself, as a program in it sees it, and not the host",
        hint="give an address of the host: ip -br address",
        code=CODE,
    )


def _of_service(state: ClusterState, box: sandbox.Sandbox, svc: service.Service) -> errors.NotFound:
    ports = ", or a published port at an address of the host" if svc.ports else ""
    if not svc.vips:
        return errors.NotFound(
            f"service {svc.name} has no virtual address: its endpoint mode is dnsrr",
            hint=f"its name gives the members: sdctl dns trace {svc.name} --from {box.name}{ports}",
            code=CODE,
        )
    net = state.networks[svc.network].name
    return errors.NotFound(
        f"sandbox {box.name} is not on {net}, the network of service {svc.name}",
        hint=f"trace from one that is, or: sdctl network connect {net} {box.name}{ports}",
        code=CODE,
    )


def _published(state: ClusterState) -> str:
    told = list(dict.fromkeys(map(_told, _ports(state))))[:_LISTED]
    return f"published are: {', '.join(told)}" if told else "nothing is published here"


def _ports(state: ClusterState) -> Iterator[Port]:
    for publisher in state.publishers:
        yield from publisher.ports


def _told(each: Port) -> str:
    return f"{each.published}/{each.protocol}"
