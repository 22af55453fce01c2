"""A network of thousands on its way to the worker: all of it arrives, and others have their turn."""

import asyncio
import itertools
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from resolver import protocol
from resolver.control import difference, launch, link
from resolver.desired import desired
from resolver.files import own
from resolver.files.upstreams import DaemonDns
from resolver.message import wire
from resolver.reconciler import Reconciler
from sdd.linux import guests, namespaces
from sdd.model import endpoint, ids
from sdd.state import ClusterState, Gone, Put
from tests import resolver_states as states
from tests.scenario.worker import Worker, address, ask

MANY = 3000


class Counting(link.Link):
    """A conversation that knows how much was said."""

    sent = 0

    async def send(self, message: protocol.ToWorker, links: Sequence[socket.socket] = ()) -> None:
        await super().send(message, links)
        self.sent += 1


def town() -> ClusterState:
    numbers = range(MANY)
    boxes = [Put(states.box(f"box{each}")) for each in numbers]
    plugs = [
        Put(states.plug(f"box{each}", "front", f"10.44.{each >> 8}.{each & 255}/16"))
        for each in numbers
    ]
    return ClusterState().apply(ids.Revision(2), [Put(states.net("front")), *boxes, *plugs])


@pytest.mark.usefixtures("patient")
async def test_between_messages_about_thousands_of_names_others_have_their_turn(
    worker: Worker, tmp_path: Path
) -> None:
    doors = namespaces.Namespaces()
    one = Reconciler(
        *(doors, launch.Launcher(tmp_path), states.NODE, own.Files(tmp_path), DaemonDns()),
        been=guests.Guests(tmp_path / "guests"),
    )
    want = desired(town(), states.NODE, DaemonDns())
    opened = await Counting.open(link.connect(str(worker.path)))
    turns: list[int] = []

    def turn() -> None:
        turns.append(opened.sent)
        asyncio.get_running_loop().call_soon(turn)

    turn()
    await one._stage(opened, want)
    assert turns[-1] > MANY
    assert max(after - before for before, after in itertools.pairwise(turns)) == 1
    await opened.apply(2)
    opened.close()
    doors.close()
    session = worker.session()
    assert session.inventory.tables == {
        name: table.digest for name, table in want.snapshot.tables.items()
    }


def test_of_thousands_of_names_each_is_answered_also_when_others_came_and_went(
    worker: Worker,
) -> None:
    first = town()
    before = desired(first, states.NODE, DaemonDns())
    session = worker.session()
    for message in difference.messages(session.inventory, before.snapshot):
        session.say(message)
    names = {wire.to_wire("own"): {wire.A: address(wire.A, "10.1.0.2")}}
    ports = session.serve(names=names)
    session.view("s", [states.identity("front")])
    session.apply(2)
    for number in (0, 77, MANY - 1):
        (found,) = ask(ports, f"box{number}.front").answer[0]
        assert found.to_text() == f"10.44.{number >> 8}.{number & 255}"
    moved = first.apply(ids.Revision(3), [Put(states.plug("box77", "front", "10.44.99.9/16"))])
    after = desired(moved, states.NODE, DaemonDns(), before)
    has = difference.after(session.inventory, before.snapshot)
    told = list(difference.messages(has, after.snapshot))
    assert len(told) == 1
    session.say(told[0])
    session.apply(3)
    (found,) = ask(ports, "box77").answer[0]
    assert found.to_text() == "10.44.99.9"
    (found,) = ask(ports, "box78").answer[0]
    assert found.to_text() == "10.44.0.78"
    others = range(1000, 2000)  # more than one message takes, and not all that is there
    gone = [Gone(endpoint.Endpoint, states.plug(f"box{each}", "front").id) for each in others]
    last = desired(moved.apply(ids.Revision(4), gone), states.NODE, DaemonDns(), after)
    told = list(difference.messages(difference.after(has, after.snapshot), last.snapshot))
    assert len([each for each in told if isinstance(each, protocol.TableChange)]) > 1
    assert not any(isinstance(each, protocol.TablePart) for each in told)
    for message in told:
        session.say(message)
    session.apply(4)
    assert not ask(ports, "box1500.front").answer
    (found,) = ask(ports, "box2500").answer[0]
    assert found.to_text() == "10.44.9.196"
    assert (
        worker.session().inventory.tables[states.identity("front")]
        == next(iter(last.snapshot.tables.values())).digest
    )
