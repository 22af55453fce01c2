"""From a state to answers on 127.0.0.11 inside real namespaces, through a real worker."""

import asyncio
import dataclasses
import os
import signal
from pathlib import Path

import pytest

from sdd.model import absence, sandbox
from tests import resolver_states as states
from tests.kernel.resolver.town import Town, pair

pytestmark = pytest.mark.kernel

RED = states.net("red")


async def test_A8_01_a_sandbox_finds_another_over_udp_and_tcp(town: Town) -> None:
    for name in ("ann", "bob"):
        await town.make(name)
    daemon = town.daemon()
    await town.settle(daemon, RED, *pair(town, "ann", 2), *pair(town, "bob", 3))
    assert town.dig("ann", "bob") == "10.44.1.3"
    assert town.dig("ann", "+tcp", "bob") == "10.44.1.3"
    assert (await town.ask("ann", "bob")).answers[0][3] == "10.44.1.3"
    nobody = await town.ask("ann", "99.1.44.10.in-addr.arpa", "PTR")
    assert (nobody.rcode, nobody.answers) == ("NXDOMAIN", ())


async def test_A8_86_a_restarted_sdd_sends_nothing_that_the_worker_has(town: Town) -> None:
    await town.make("ann")
    await town.settle(town.daemon(), RED, *pair(town, "ann", 2))
    before, rules = await town.worker(), town.inside("ann", "nft", "-a", "list", "ruleset")
    town.restart()
    assert town.dig("ann", "ann") == "10.44.1.2"  # nobody is there, names are
    outcome = await town.realise(town.daemon(), RED, *pair(town, "ann", 2), again=True)
    assert (outcome.failures, outcome.changed) == ((), 0)
    assert await town.worker() == before
    assert town.inside("ann", "nft", "-a", "list", "ruleset") == rules


async def test_D7_a_sandbox_that_left_its_last_network_keeps_its_server(town: Town) -> None:
    await town.make("ann")
    box, plug = pair(town, "ann", 2)
    box = dataclasses.replace(
        box, extra_hosts=states.box("ann", extra=(("printer", "192.0.2.5"),)).extra_hosts
    )
    await town.settle(town.daemon(), RED, box, plug)
    left = dataclasses.replace(box, keeps_server=True)
    await town.settle(town.daemon(), RED, left)
    for _ in range(2):
        assert town.dig("ann", "printer") == "192.0.2.5"
        assert town.dig("ann", "localhost") == "127.0.0.1"
        assert (await town.ask("ann", "ann")).rcode == "SERVFAIL"  # and nobody may be asked
        file = town.root / "data" / "sandboxes" / box.id / "resolv.conf"
        assert "nameserver 127.0.0.11\n" in file.read_text()
        town.restart()
        await town.settle(town.daemon(), RED, left)


async def test_a_dead_worker_is_replaced_and_gets_everything(town: Town) -> None:
    await town.make("ann")
    daemon = town.daemon()
    await town.settle(daemon, RED, *pair(town, "ann", 2))
    os.kill(await town.worker(), signal.SIGKILL)
    outcome = await town.realise(daemon, RED, *pair(town, "ann", 2), again=True)
    assert outcome.failures == ()
    assert town.dig("ann", "ann") == "10.44.1.2"
    assert town.dig("ann", "+tcp", "ann") == "10.44.1.2"


@pytest.mark.parametrize(
    "damage",
    [
        "delete table inet sdd-dns",
        "flush chain inet sdd-dns output",
        "add rule inet sdd-dns output udp dport 53 drop",
    ],
)
async def test_a_damaged_table_is_repaired(town: Town, damage: str) -> None:
    await town.make("ann")
    daemon = town.daemon()
    await town.settle(daemon, RED, *pair(town, "ann", 2))
    right = town.inside("ann", "nft", "list", "ruleset")
    town.inside("ann", "nft", damage)
    outcome = await town.realise(daemon, RED, *pair(town, "ann", 2), again=True)
    assert (outcome.failures, outcome.repaired) == ((), 1)
    assert town.inside("ann", "nft", "list", "ruleset") == right
    assert town.dig("ann", "ann") == "10.44.1.2"


async def test_foreign_rules_stay_and_cost_no_repair(town: Town) -> None:
    await town.make("ann")
    daemon = town.daemon()
    await town.settle(daemon, RED, *pair(town, "ann", 2))
    town.inside("ann", "nft", "add table inet mine")
    outcome = await town.realise(daemon, RED, *pair(town, "ann", 2), again=True)
    assert (outcome.changed, outcome.repaired) == (0, 0)
    assert "table inet mine" in town.inside("ann", "nft", "list", "ruleset")


async def test_a_namespace_that_appears_during_the_pass_is_waited_for(town: Town) -> None:
    daemon = town.daemon(ready_s=60)
    async with asyncio.TaskGroup() as tasks:
        passing = tasks.create_task(town.realise(daemon, RED, *pair(town, "late", 2)))
        await asyncio.sleep(0)
        await town.make("late")
    assert passing.result().failures == ()
    assert town.dig("late", "late") == "10.44.1.2"


async def test_a_namespace_that_was_there_is_not_awaited_when_it_is_gone(town: Town) -> None:
    await town.make("ann")
    daemon = town.daemon(ready_s=60)
    await town.settle(daemon, RED, *pair(town, "ann", 2))
    await town.doors.delete(town.path("ann"))
    async with asyncio.timeout(30):  # newer states wait for this pass
        outcome = await town.realise(daemon, RED, *pair(town, "ann", 2), again=True)
    (failure,) = outcome.failures
    assert failure.code == "SDD-NETNS-GONE"


async def test_an_absent_namespace_fails_alone(town: Town) -> None:
    await town.make("ann")
    daemon = town.daemon()
    values = (RED, *pair(town, "ann", 2), *pair(town, "absent", 3))
    outcome = await town.realise(daemon, *values)
    (failure,) = outcome.failures
    whom = states.identity("absent")
    assert failure == absence.of(whom, "absent", town.path("absent"), is_adopted=False)
    assert town.dig("ann", "absent") == "10.44.1.3"


async def test_a_namespace_made_anew_gets_new_sockets(town: Town) -> None:
    await town.make("ann")
    daemon = town.daemon()
    await town.settle(daemon, RED, *pair(town, "ann", 2))
    await town.doors.delete(town.path("ann"))
    await town.make("ann")
    assert (await town.realise(daemon, RED, *pair(town, "ann", 2), again=True)).failures == ()
    assert town.dig("ann", "ann") == "10.44.1.2"


async def test_an_adopted_namespace_is_left_clean_and_a_strangers_alone(town: Town) -> None:
    path = await town.make("ann")
    own = Path(path).stat().st_ino
    box = states.box("ann", path, origin=sandbox.Origin.ADOPTED, inode=own)
    end = states.plug("ann", "red", "10.44.1.2/24")
    daemon = town.daemon()
    await town.settle(daemon, RED, box, end)
    assert "sdd-dns" in town.inside("ann", "nft", "list", "tables")
    await town.settle(daemon, RED)
    assert town.inside("ann", "nft", "list", "ruleset") == ""
    assert "127.0.0.11" not in town.inside("ann", "ss", "-Hanltu")
    stranger = states.box("ann", path, origin=sandbox.Origin.ADOPTED, inode=own + 1)
    (failure,) = (await town.realise(daemon, RED, stranger, end)).failures
    assert failure == absence.of(box.id, "ann", path, is_adopted=True)
    assert "sdd-dns" not in town.inside("ann", "nft", "list", "tables")


async def test_a_sandbox_that_loses_its_last_named_network_loses_its_server(town: Town) -> None:
    await town.make("ann")
    daemon = town.daemon()
    default = states.net("bridge", 2, predefined=True)
    box, red = pair(town, "ann", 2)
    plain = states.plug("ann", "bridge", "10.44.2.2/24")
    await town.settle(daemon, RED, default, box, red, plain)
    assert town.dig("ann", "ann") == "10.44.1.2"
    await town.settle(daemon, RED, default, box, plain)
    assert town.inside("ann", "nft", "list", "ruleset") == ""
    resolv = (town.root / "data" / "sandboxes" / box.id / "resolv.conf").read_text()
    assert "nameserver 127.0.0.11" not in resolv


async def test_the_sandboxs_own_server_on_port_53_is_not_disturbed(town: Town) -> None:
    await town.make("ann")
    town.inside("ann", "ip", "address", "add", "10.44.1.2/32", "dev", "lo")
    daemon = town.daemon()
    await town.settle(daemon, RED, *pair(town, "ann", 2))
    listening = town.inside("ann", "ss", "-Hnlu")
    assert "127.0.0.11:53 " not in listening
    assert "127.0.0.11:" in listening


async def test_many_sandboxes_at_once(town: Town) -> None:
    names = [f"m{number}" for number in range(40)]
    values = [pair(town, name, number + 2) for number, name in enumerate(names)]
    for name in names:
        await town.make(name)
    await town.settle(town.daemon(), RED, *(each for both in values for each in both))
    assert [town.dig(name, "m39") for name in names[::8]] == ["10.44.1.41"] * 5
