"""nftables: many services from empty, and one change among them, against `nft -f` of the same text.

Ours is the whole of the reconciler: desired table, plan, one transaction, reading back. The peer is
handed the finished text. One kernel object serves all rounds, as it does all sandboxes of a daemon:
what they share is translated by nft once. Full tables are compared by the CPU they take, user and system of either
side: other work on the machine is not measured then. One change is compared by its latency.
"""

import asyncio
import os
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from lb import table
from lb.desired import desired, nothing
from lb.kernel.nftables import NftablesKernel
from lb.reconciler import Reconciler
from sdd import interpreter
from sdd.linux import namespaces
from sdd.model.look import NOWHERE
from sdd.model.service import Scheduler
from sdd.state import ClusterState
from tests.bench import report
from tests.bench.lb import load
from tests.kernel import lb_as_text

ROUNDS = 3 if os.environ.get("BENCH_SHORT") else 9
BOUND_S = 0.010
CHANGES = 20 if os.environ.get("BENCH_SHORT") else 200


async def main() -> None:
    interpreter.tune()
    spaces = namespaces.Namespaces()
    with tempfile.TemporaryDirectory() as folder:
        netns = f"{folder}/t-lb-bench"
        await spaces.create(netns)
        try:
            await _bench(spaces, netns, Path(folder))
        finally:
            await spaces.delete(netns)
            spaces.close()


async def _bench(spaces: namespaces.Namespaces, netns: str, folder: Path) -> None:
    kernel = NftablesKernel(spaces)
    for services, backends, scheduler in (
        (100, 10, Scheduler.RR),
        (1000, 10, Scheduler.RR),
        (100, 10, Scheduler.MH),
        (1, 1000, Scheduler.MH),
    ):
        ours, peer = [], []
        for _ in range(ROUNDS):
            full = load.state(netns, services, scheduler=scheduler, backends=backends)
            _, seconds = await _ours(kernel, full)
            ours.append(seconds)
            text = lb_as_text.whole(_table(full))
            _nft(netns, folder, "flush ruleset")
            before = _cpu(resource.RUSAGE_CHILDREN)
            _nft(netns, folder, text)
            peer.append(_cpu(resource.RUSAGE_CHILDREN) - before)
            _nft(netns, folder, "flush ruleset")
        what = f"nftables: {services} x {backends} services ({scheduler}) from empty, CPU"
        _row(what, ours, peer, 1.2)
    many = "one weight among 1000 services"
    each = await _one_of_many(kernel, netns, folder, many, load.state(netns, 1000))
    p99 = statistics.quantiles(each, n=100, method="inclusive")[98]
    _row(f"nftables: {many}, p99", [p99], [BOUND_S], 1.0, "the bound")
    _nft(netns, folder, "flush ruleset")
    large = load.state(netns, 1, scheduler=Scheduler.MH, backends=1000)
    await _one_of_many(kernel, netns, folder, "one weight among 1000 backends (mh)", large)


async def _one_of_many(
    kernel: NftablesKernel, netns: str, folder: Path, name: str, before: ClusterState
) -> list[float]:
    """Seconds of each change of ours."""
    reconciler, _ = await _ours(kernel, before)
    ours, peer = [], []
    await reconciler.realise(before)
    for revision in range(2, 2 + CHANGES):
        after = load.reweighed(before, revision)
        begun = time.perf_counter()
        outcome = await reconciler.realise(after, NOWHERE)
        ours.append(time.perf_counter() - begun)
        assert (outcome.changed, outcome.failures) == (1, ())
        tables = [_table(each) for each in (after, before)]
        vip = next(vip for vip, one in tables[0].services.items() if one != tables[1].services[vip])
        peer.append(_nft(netns, folder, lb_as_text.replaced(tables[1].services[vip])))
        _nft(netns, folder, lb_as_text.replaced(tables[0].services[vip]))
    _row(f"nftables: {name}", ours, peer, 1 / 3)
    return ours


async def _ours(kernel: NftablesKernel, state: ClusterState) -> tuple[Reconciler, float]:
    reconciler = Reconciler(kernel, load.NODE)
    before = _cpu(resource.RUSAGE_SELF)
    outcome = await reconciler.realise(state)
    seconds = _cpu(resource.RUSAGE_SELF) - before
    assert outcome.failures == (), outcome.failures[:3]
    return reconciler, seconds


def _table(state: ClusterState) -> table.Table:
    return desired(state, nothing(load.NODE)).sandboxes[load.CLIENT].table


def _nft(netns: str, folder: Path, text: str) -> float:
    file = folder / "rules.nft"
    file.write_text(text)
    begun = time.perf_counter()
    subprocess.run(["nsenter", f"--net={netns}", "nft", "-f", str(file)], check=True)
    return time.perf_counter() - begun


def _cpu(who: int) -> float:
    """Seconds of all threads, or of all children that ended."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def _row(
    what: str, ours: list[float], peer: list[float], goal: float, name: str = "nft -f"
) -> None:
    report.row(
        report.Row(
            what=what,
            ours=statistics.median(ours) * 1000,
            peer=statistics.median(peer) * 1000,
            peer_name=name,
            unit="ms",
            goal=goal,
        )
    )


if __name__ == "__main__":
    asyncio.run(main())
