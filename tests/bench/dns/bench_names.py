"""Names of 1000 services of 10: made, told and taken up, and one change beside them. Pure, by CPU.

The peers are given the same names in a file, and start. They know no change but to start again; of
ours the peer is the same network with 10 services: a change must hardly grow with what is there.
"""

import functools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network, ip_interface
from pathlib import Path

from resolver import protocol
from resolver.control import difference
from resolver.desired import NOTHING, Wanted, desired
from resolver.files.upstreams import DaemonDns
from resolver.names.unread import Unread
from sdd import interpreter
from sdd.model import endpoint, ids, network, record, service
from sdd.model.service import Scheduler
from sdd.state import Change, ClusterState, Gone, Put
from tests import resolver_states as states
from tests.bench.dns import lab, peers
from tests.bench.lb import stock
from tests.bench.report import Row, row

MANY, FEW = 1000, 10
ROUNDS = 30
GOAL = 3.0  # as many times the few as many may cost
DAEMON = DaemonDns()
NET = network.Network(
    id=ids.NetworkId(states.identity("front")),
    name="front",
    pools=(network.Pool(subnet=IPv4Network("10.64.0.0/10")),),
)


def town(count: int) -> ClusterState:
    """The services and one sandbox of this node, all on one network."""
    numbers = range(count)
    things = [each for at in numbers for each in stock.things(NET.id, at, Scheduler.RR)]
    mine = (states.box("client"), states.plug("client", "front", "10.127.0.1/10"))
    return ClusterState().apply(ids.Revision(1), [Put(each) for each in (NET, *things, *mine)])


def told(before: Wanted, after: Wanted) -> list[bytes]:
    """What is sent to a worker that has what was wanted before."""
    blank = protocol.Inventory(protocol.RELEASE, 1, 1, tables={}, views={}, listeners={})
    has = difference.after(blank, before.snapshot)
    return [protocol.encode(each) for each in difference.messages(has, after.snapshot)]


def taken(messages: list[bytes]) -> Unread:
    """What the worker does with it."""
    names = Unread()
    for each in map(protocol.decode_to_worker, messages):
        if isinstance(each, protocol.TablePart):
            names.take(each.groups)
        if isinstance(each, protocol.TableChange):
            names.take(each.put)
    return names


def made(state: ClusterState, before: Wanted) -> tuple[Wanted, Unread]:
    """Everything from the state to the worker's names."""
    after = desired(state, states.NODE, DAEMON, before)
    return after, taken(told(before, after))


def cpu_ms(work: Callable[[], object]) -> float:
    begun = time.thread_time()
    work()
    return (time.thread_time() - begun) * 1000


def changes(now: ClusterState) -> dict[str, Callable[[int], Iterator[Change]]]:
    """By what they are called; each is another one in each turn."""
    svc = next(iter(now.services.values()))
    moved = list(now.members.values())[-1]
    guest = service.Member(
        service=svc.id, endpoint=moved.endpoint, sandbox=moved.sandbox, node=moved.node
    )

    def joins(turn: int) -> Iterator[Change]:
        yield Gone(service.Member, (svc.id, guest.endpoint)) if turn % 2 else Put(guest)

    def comes(turn: int) -> Iterator[Change]:
        yield Put(states.box(f"new{turn}"))
        plug = states.plug(f"new{turn}", "front")
        yield Put(with_address(plug, turn))

    def added(name: str, kind: record.RecordType, data: str) -> Callable[[int], Iterator[Change]]:
        def of(turn: int) -> Iterator[Change]:
            yield Put(
                record.Record(
                    id=ids.RecordId(states.identity(f"{name}{kind}{turn}")),
                    network=NET.id,
                    name=name.format(turn),
                    kind=kind,
                    data=data,
                )
            )

        return of

    kinds = record.RecordType
    return {
        "a member joins or leaves": joins,
        "a sandbox more": comes,
        "a record": added("db{}", kinds.A, "10.127.3.3"),
        "a record of a service": added(f"_web{{}}._tcp.{svc.name}", kinds.SRV, "0 1 80 db0"),
        "a reverse record": added("{}.3.127.10.in-addr.arpa", kinds.TXT, "hello"),
        "a wildcard": added("*.apps{}", kinds.A, "10.127.3.4"),
        "a member beside all these": joins,
    }


def with_address(plug: endpoint.Endpoint, turn: int) -> endpoint.Endpoint:
    """On an address of its own."""
    return endpoint.Endpoint(
        id=plug.id,
        network=plug.network,
        sandbox=plug.sandbox,
        node=plug.node,
        addresses=(ip_interface(f"10.127.1.{turn}/10"),),
        mac=plug.mac,
        ifname=plug.ifname,
    )


def changed(count: int) -> dict[str, float]:
    """Milliseconds that each kind of change takes, median."""
    now = town(count)
    wanted, _ = made(now, NOTHING)
    found = {}
    for what, change in changes(now).items():
        took = []
        for turn in range(ROUNDS):
            now = now.apply(ids.Revision(now.revision + 1), change(turn))
            # The indexes are made anew for all backends; here they are nobody's.
            _ = now.endpoints_by_network, now.members_by_service, now.records_by_network
            later = functools.partial(made, now, wanted)
            took.append(cpu_ms(later))
            wanted = desired(now, states.NODE, DAEMON, wanted)
        found[what] = statistics.median(took)
    return found


def main() -> None:
    """A row a peer, and a row a change."""
    interpreter.tune()  # as both processes are
    now = town(MANY)
    ours = min(cpu_ms(functools.partial(made, now, NOTHING)) for _ in range(5))
    forms = {each.name: each.id[:12] for each in now.sandboxes.values()}
    every = {form + end for pair in forms.items() for form in pair for end in ("", ".front")}
    names = {name: f"10.66.{n >> 8 & 255}.{n & 255}" for n, name in enumerate(sorted(every))}
    with tempfile.TemporaryDirectory() as folder, lab.scratch("names") as space:
        for start in (peers.dnsmasq, peers.unbound):
            with start(space, Path(folder), "client.front", names) as peer:
                row(
                    Row(
                        what=f"names of {MANY} x {stock.BACKENDS} made and told, CPU",
                        ours=ours,
                        peer=peer_cpu_ms(peer.pid),
                        peer_name=f"{peer.name} started with as many",
                        unit="ms",
                        goal=1.0,
                    )
                )
    few, many = changed(FEW), changed(MANY)
    for what, took in many.items():
        row(
            Row(
                what=f"{what} beside {MANY} x {stock.BACKENDS}, names, CPU",
                ours=took,
                peer=few[what],
                peer_name=f"beside {FEW}",
                unit="ms",
                goal=GOAL,
            )
        )


def peer_cpu_ms(pid: int) -> float:
    """Of all threads so far."""
    files = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in files) / 1e6


if __name__ == "__main__":
    main()
