"""A bad request as a value: what is asked, and the one error that must be the answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network

import pytest

from sdd import errors
from sdd.model import request, service
from tests.scenario.node import Node

Ask = Callable[[Node], Awaitable[object]]
V4 = IPv4Address


def pool(
    subnet: str, gateway: str = "", ip_range: str = "", aux: str = ""
) -> tuple[request.PoolSpec, ...]:
    return (
        request.PoolSpec(
            subnet=ip_network(subnet),
            gateway=ip_address(gateway) if gateway else None,
            ip_range=ip_network(ip_range) if ip_range else None,
            aux={"printer": ip_address(aux)} if aux else {},
        ),
    )


def make_net(name: str, *pools: request.PoolSpec, **options: object) -> Ask:
    asked = request.NetworkCreate(name=name, pools=pools, **options)  # type: ignore[arg-type]  # options of one case each
    return lambda one: one.commands.create_network(asked)


def make_box(name: str, *attachments: request.Attachment, **options: object) -> Ask:
    asked = request.SandboxCreate(name=name, attachments=attachments, **options)  # type: ignore[arg-type]  # same
    return lambda one: one.commands.create_sandbox(asked)


def make_svc(name: str, on: str, **options: object) -> Ask:
    asked = request.ServiceCreate(name=name, network=on, **options)  # type: ignore[arg-type]  # same
    return lambda one: one.commands.create_service(asked)


def connect(box: str, to: str, **options: object) -> Ask:
    asked = request.Attachment(network=to, **options)  # type: ignore[arg-type]  # same
    return lambda one: one.commands.connect(box, asked)


def on(name: str, **options: object) -> request.Attachment:
    return request.Attachment(network=name, **options)  # type: ignore[arg-type]  # same


TCP = service.CheckKind.TCP


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    ask: Ask
    kind: type[errors.SddError]
    code: str
    words: tuple[str, ...]


def case(name: str, ask: Ask, kind: type[errors.SddError], code: str, *words: str) -> object:
    return pytest.param(Case(name=name, ask=ask, kind=kind, code=code, words=words), id=name)


async def assert_refused(lab: Node, case: Case) -> None:
    """The error is the one of the case, complete, and the store is as before."""
    before = await lab.store.range("")
    with pytest.raises(errors.SddError) as caught:
        await case.ask(lab)
    refusal = caught.value
    assert (type(refusal), refusal.code) == (case.kind, case.code)
    for word in case.words:
        assert word in f"{refusal.sentence}\n{refusal.hint}"
    assert refusal.hint
    assert "\n" not in refusal.sentence + refusal.hint
    assert await lab.store.range("") == before
