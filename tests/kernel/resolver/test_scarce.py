"""What becomes of a pass when sdd itself may open no more files."""

import pytest

from resolver import protocol
from sdd.model import progress
from tests import resolver_states as states
from tests.kernel.resolver.town import Town, pair
from tests.support import room_for

pytestmark = pytest.mark.kernel

MOST = 7  # files that a sandbox's name service takes at once, while it is made


@pytest.mark.parametrize("count", range(MOST + 1))
async def test_whoever_can_have_no_sockets_fails_alone(town: Town, count: int) -> None:
    daemon = town.daemon()
    calm, late = pair(town, "calm", 2), pair(town, "late", 3)
    for name in ("calm", "late"):
        await town.make(name)
    await town.settle(daemon, states.net("red"), *calm)
    with room_for(count):
        done = await town.realise(daemon, states.net("red"), *calm, *late)
    assert {each.subject for each in done.failures} <= {late[0].id}
    for each in done.failures:
        assert "too many open files" in each.sentence.lower()
    assert len(done.failures) in {0: (1, 2), MOST: (0,)}.get(count, (0, 1, 2))
    assert town.dig("calm", "late") == "10.44.1.3"  # the names went on
    with room_for(count):
        again = await town.realise(daemon, states.net("red"), *calm, *late, again=True)
    # Of everybody only that files of sandboxes that are gone were not looked for.
    every = [each.code for each in again.failures if each.subject == progress.EVERYTHING]
    assert every in ([], ["SDD-DNS-FILE"])
    await town.settle(daemon, states.net("red"), *calm, *late)
    assert town.dig("late", "calm") == "10.44.1.2"


async def test_whoever_can_have_none_towards_upstreams_has_its_own_names(town: Town) -> None:
    daemon = town.daemon()
    calm = pair(town, "calm", 2)
    late = (
        states.box("late", town.path("late"), servers=("10.44.9.9", "fd44::9")),
        states.plug("late", "red", "10.44.1.3/24"),
    )
    for name in ("calm", "late"):
        await town.make(name)
    await town.settle(daemon, states.net("red"), *calm)
    with room_for(MOST + 5):
        done = await town.realise(daemon, states.net("red"), *calm, *late)
        assert {each.subject for each in done.failures} == {late[0].id}
        for each in done.failures:
            assert "has not all of its name service" in each.sentence
        assert {each.code for each in done.failures} == {"SDD-DNS-SOCKET"}
    assert town.dig("late", "calm") == "10.44.1.2"
    await town.settle(daemon, states.net("red"), *calm, *late)
    worker = await town.launchers[-1].ensure()
    assert worker.inventory.outward[late[0].id].keys() == set(protocol.Family)
