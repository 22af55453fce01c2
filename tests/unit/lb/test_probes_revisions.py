"""A new state costs what changed, however many are checked."""

import asyncio
import time
from typing import Never

from lb.checks import Check
from lb.probes import Probes
from sdd.model import health, ids
from sdd.reconcile import Slot
from sdd.state import ClusterState, Put
from tests.support import work_of
from tests.unit.lb import states
from tests.unit.lb.watched import World


def test_a_revision_costs_the_same_among_few_checked_members_and_among_many() -> None:
    async def silent(_: Check) -> Never:
        while True:
            await asyncio.Event().wait()

    def work(count: int) -> int:
        boxes = [
            each
            for at in range(count)
            for each in (
                states.box(f"box{at}"),
                states.plug(f"box{at}", "front", f"10.0.1.{at + 1}/24"),
                states.member("web", f"box{at}", "front"),
            )
        ]
        web = states.svc("web", "front", "10.0.1.250", check=states.CHECKED)
        state = states.state(states.net("front", 1), web, *boxes).indexed()
        down = states.verdict("web", "box0", "front", health.Status.DOWN)
        world, slot = World(), Slot()
        probes = Probes(world.record, states.NODE, time.monotonic, lambda: 0.5, dial=silent)
        with asyncio.Runner() as runner:
            task = runner.get_loop().create_task(probes.run(slot), name="probes")

            async def follow(news: ClusterState) -> None:
                slot.put(news)
                for _ in range(9):
                    await asyncio.sleep(0)

            runner.run(follow(state))
            later = state.apply(ids.Revision(2), [Put(down)]).indexed()
            found = work_of(lambda: runner.run(follow(later)))
            task.cancel()
            runner.run(asyncio.wait([task]))
        return found

    assert work(200) == work(2)
