"""A daemon that starts with many services: its store is written before, as another node would have.

The members are on a node that is away, so that nothing of them has to be made here; names, virtual
addresses and backends are all theirs. Made by commands, a thousand services take minutes.
"""

import asyncio
import hashlib
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, ip_interface
from pathlib import Path

from sdd.control import keys, sandboxes, services
from sdd.model import endpoint, ids, sandbox, service
from sdd.model.service import Scheduler
from sdd.store import codec, contract
from sdd.store.sqlite import SqliteStore
from tests.e2e.appliance import Appliance

AWAY = ids.NodeId("away")
NETWORK = "front"
BACKENDS = 10
_AT_ONCE = 50  # services a transaction
_VIPS, _MEMBERS = int(IPv4Address("10.64.1.0")), int(IPv4Address("10.66.0.0"))


@contextmanager
def stocked(tag: str, count: int, scheduler: Scheduler, *options: str) -> Iterator[Appliance]:
    """A started daemon with the network `front` and `count` services of BACKENDS members."""
    daemon = Appliance(tag, *options)
    try:
        daemon.start(deadline_s=600)
        daemon.sdctl("network", "create", NETWORK, "--subnet", "10.64.0.0/10")
        (made,) = daemon.json("network", "inspect", NETWORK)
        daemon.kill(signal.SIGTERM)
        net = ids.NetworkId(made["Id"])
        asyncio.run(_written(daemon.root / "data" / "sdd.db", net, count, scheduler))
        daemon.start(deadline_s=600)
        yield daemon
    finally:
        daemon.close()


def name(number: int) -> str:
    """Of a service."""
    return f"s{number:05}"


async def _written(path: Path, net: ids.NetworkId, count: int, scheduler: Scheduler) -> None:
    store = await SqliteStore.open(path)
    try:
        for first in range(0, count, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, count))
            writes = [each for number in numbers for each in _service(net, number, scheduler)]
            await store.commit(contract.Transaction(operations=tuple(writes)))
    finally:
        await store.close()


def things(net: ids.NetworkId, number: int, scheduler: Scheduler) -> Iterator[codec.Object]:
    """One service with all that belongs to it; the service comes first."""
    made = service.Service(
        id=ids.ServiceId(_id(name(number))),
        name=name(number),
        network=net,
        number=number + 1,
        vips=(IPv4Address(_VIPS + number),),
        scheduler=scheduler,
    )
    yield made
    for at in range(BACKENDS):
        yield from _member(made, at, IPv4Address(_MEMBERS + number * BACKENDS + at))


def _member(svc: service.Service, at: int, address: IPv4Address) -> Iterator[codec.Object]:
    label = f"{svc.name}-{at}"
    box = sandbox.Sandbox(
        id=ids.SandboxId(_id(label)),
        name=label,
        node=AWAY,
        origin=sandbox.Origin.NAMED,
        netns=f"/run/away/{label}",
    )
    plug = endpoint.Endpoint(
        id=ids.EndpointId(_id(f"{label}-eth0")),
        network=svc.network,
        sandbox=box.id,
        node=AWAY,
        addresses=(ip_interface(f"{address}/10"),),
        mac="02:00:" + ":".join(f"{each:02x}" for each in address.packed),
        ifname="eth0",
    )
    yield from (box, plug)
    yield service.Member(service=svc.id, endpoint=plug.id, sandbox=box.id, node=AWAY)


def _service(net: ids.NetworkId, number: int, scheduler: Scheduler) -> Iterator[contract.Operation]:
    for each in things(net, number, scheduler):
        yield _put(each)
        match each:
            case service.Service():
                yield contract.Write(keys.number(each.number), each.id.encode())
                for vip in each.vips:
                    yield contract.Write(keys.address(net, vip), each.id.encode())
                yield contract.Write(keys.name(services.KIND, each.name), each.id.encode())
            case sandbox.Sandbox():
                yield contract.Write(keys.name(sandboxes.KIND, each.name), each.id.encode())
            case endpoint.Endpoint():
                for address in each.addresses:
                    yield contract.Write(keys.address(net, address.ip), each.id.encode())


def _put(value: codec.Object) -> contract.Write:
    return contract.Write(codec.key(value), codec.encode(value))


def _id(label: str) -> str:
    return hashlib.sha256(label.encode()).hexdigest()
