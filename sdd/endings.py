"""What ends sandboxes and endpoints without a command of the moment, wired.

In: what `sdd.app` built. Out: loops that follow the state.
"""

import time

import structlog

from netns import deaths
from sdd.control import commander, departures, journal
from sdd.daemon import Follow
from sdd.linux import sight
from sdd.model import ids, sandbox
from sdd.model.event import Action, Kind

say: structlog.stdlib.BoundLogger = structlog.get_logger("sdd")


def followers(
    commands: commander.Commander, node: ids.NodeId, history: journal.Journal
) -> dict[str, Follow]:
    """The loops by their names."""

    def told(box: sandbox.Sandbox) -> None:
        say.warning("sandbox.ended", sandbox=box.name, netns=box.netns)
        history.tell(Kind.SANDBOX, Action.LOST, box.id, {"name": box.name})

    watch = deaths.Deaths(commands.remove_sandbox, node, sight.Sight().lost, told)
    left = departures.Departures(commands, node, time.time)
    return {"deaths": watch.run, "departures": left.run}
