"""Of several servers the order counts, for a while also where the first one may be gone."""

import dns.rcode
import pytest

from resolver.upstream import forward
from tests.support import eventually_async
from tests.unit.resolver.upstream import outside
from tests.unit.resolver.upstream.outside import Outside


def doubtful(world: Outside) -> None:
    """The first server was quick, and then silent once."""
    health, now = world.health(world.servers[0]), world.now()
    health.answered(now, 0.001)
    health.failed(now, now)
    assert health.is_doubtful


async def test_a_no_waits_for_the_server_before_it_that_may_know_better(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forward, "DENIAL_S", 60.0)
    async with outside.outside(outside.mute, outside.denied) as world:
        first, second = world.servers
        doubtful(world)
        asked, tried = world.ask("www.example"), world.question("www.example")
        await eventually_async(lambda: world.forwarder.tried(tried), 60, "the second was heard")
        assert (first.heard, second.heard) == (["www.example"], ["www.example"])
        assert not asked.done()
        first.answer()
        assert (await asked).rcode() == dns.rcode.NOERROR


@pytest.mark.parametrize(("is_silent", "lasts_s"), [(True, forward.INSTEAD_S), (False, 300)])
async def test_a_no_in_place_of_a_silent_server_is_kept_shortly(
    is_silent: bool, lasts_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever listed the first one did so for the names that it alone knows."""
    if not is_silent:
        monkeypatch.setattr(forward, "DENIAL_S", 60.0)  # what it says is in time
    first = outside.mute if is_silent else outside.failing
    async with outside.outside(first, outside.denied) as world:
        doubtful(world)
        assert (await world.said("www.example")).rcode() == dns.rcode.NXDOMAIN
        entry, _ = world.forwarder.known(world.question("www.example"))
        assert entry is not None
        assert entry.expires - entry.stored == pytest.approx(lasts_s)
