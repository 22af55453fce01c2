"""`dns-bind: direct`: the server holds port 53 of 127.0.0.11 itself, and there are no rules."""

import os
import signal
import socket

import pytest

from resolver.files import upstreams
from tests import resolver_states as states
from tests.kernel.resolver.town import Town, pair

pytestmark = pytest.mark.kernel

RED = states.net("red")
DIRECT = upstreams.DaemonDns(bind=upstreams.Bind.DIRECT)
NAT = upstreams.DaemonDns()


def listening(town: Town) -> list[str]:
    return [line.split()[4] for line in town.inside("ann", "ss", "-Hlntu").splitlines()]


async def test_port_53_is_the_servers_own_and_there_is_no_table(town: Town) -> None:
    await town.make("ann")
    await town.settle(town.daemon(DIRECT), RED, *pair(town, "ann", 2))
    assert listening(town) == ["127.0.0.11:53", "127.0.0.11:53"]
    assert town.inside("ann", "nft", "list", "ruleset") == ""
    assert town.dig("ann", "ann") == town.dig("ann", "+tcp", "ann") == "10.44.1.2"


async def test_a_table_that_somebody_puts_back_goes_again(town: Town) -> None:
    await town.make("ann")
    daemon = town.daemon(DIRECT)
    await town.settle(daemon, RED, *pair(town, "ann", 2))
    town.inside("ann", "nft", "add table inet sdd-dns")
    outcome = await town.realise(daemon, RED, *pair(town, "ann", 2), again=True)
    assert (outcome.failures, outcome.repaired) == ((), 1)
    assert town.inside("ann", "nft", "list", "ruleset") == ""


@pytest.mark.parametrize("first", [NAT, DIRECT])
async def test_a_restart_changes_the_way_and_the_worker_stays(
    town: Town, first: upstreams.DaemonDns
) -> None:
    await town.make("ann")
    await town.settle(town.daemon(first), RED, *pair(town, "ann", 2))
    before = await town.worker()
    town.restart()
    then = DIRECT if first is NAT else NAT
    await town.settle(town.daemon(then), RED, *pair(town, "ann", 2))
    assert await town.worker() == before
    assert ("127.0.0.11:53" in listening(town)) == (then is DIRECT)
    assert len(listening(town)) == 2
    assert ("sdd-dns" in town.inside("ann", "nft", "list", "tables")) == (then is NAT)
    assert town.dig("ann", "ann") == town.dig("ann", "+tcp", "ann") == "10.44.1.2"


async def test_new_sockets_take_over_from_a_worker_that_lives_and_one_that_died(
    town: Town,
) -> None:
    """With sockets for upstreams of its own the sandbox needs others, on the same port."""
    await town.make("ann")
    daemon = town.daemon(DIRECT)
    _, end = pair(town, "ann", 2)
    await town.settle(daemon, RED, *pair(town, "ann", 2))
    assert town.dig("ann", "+tcp", "ann") == "10.44.1.2"  # leaves a connection in TIME_WAIT
    asking = states.box("ann", town.path("ann"), servers=("192.0.2.1",))
    await town.settle(daemon, RED, asking, end)
    assert town.dig("ann", "ann") == town.dig("ann", "+tcp", "ann") == "10.44.1.2"
    os.kill(await town.worker(), signal.SIGKILL)
    assert (await town.realise(daemon, RED, asking, end, again=True)).failures == ()
    assert town.dig("ann", "ann") == town.dig("ann", "+tcp", "ann") == "10.44.1.2"


async def test_a_server_that_was_there_first_is_told_of(town: Town) -> None:
    path = await town.make("ann")

    def held() -> socket.socket:
        link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        link.bind(("0.0.0.0", 53))
        return link

    first = await town.doors.run(path, held)
    daemon = town.daemon(DIRECT)
    (failure,) = (await town.realise(daemon, RED, *pair(town, "ann", 2))).failures
    assert (failure.subject, failure.code) == (states.identity("ann"), "SDD-DNS-PORT")
    assert "dns-bind" in failure.hint
    first.close()
    assert (await town.realise(daemon, RED, *pair(town, "ann", 2), again=True)).failures == ()
    assert town.dig("ann", "ann") == "10.44.1.2"
