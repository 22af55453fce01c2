"""What happened is told, by the real daemon: objects, health, and hands in the kernel."""

import json
from typing import Any

from tests.e2e.appliance import Appliance, until


def told(daemon: Appliance, *argv: str) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for line in daemon.sdctl("events", "-o", "jsonl", *argv).stdout.splitlines()
    ]


def test_a_life_is_told_in_order(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "lab")
    daemon.sandbox("c", "--network", "lab")
    daemon.sdctl("service", "create", "web", "--network", "lab")
    daemon.sdctl("service", "join", "web", daemon.name("c"))
    daemon.sdctl("sandbox", "rm", daemon.name("c"))
    daemon.sdctl("service", "rm", "web")
    daemon.sdctl("network", "rm", "lab")
    assert told(daemon, "-f", "type=daemon", "-f", "event=start")
    ours = {"lab", "web", daemon.name("c")}
    rows = [row for row in told(daemon) if row["Actor"]["Attributes"].get("name") in ours]
    assert [f"{row['Type']} {row['Action']}" for row in rows] == [
        "network create",
        "sandbox create",
        "network connect",
        "service create",
        "service join",
        "service update",  # it is left out before its link is cut
        "service leave",
        "network disconnect",
        "sandbox destroy",
        "service destroy",
        "network destroy",
    ]
    (update,) = (row for row in rows if row["Action"] == "update")
    assert update["Actor"]["Attributes"]["draining"] == "true"


def test_a_repair_is_told(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "mended")
    daemon.on_host("nft", "delete", "table", "inet", "sdd")
    until(lambda: told(daemon, "-f", "event=repair"), 120, "the repair is told")
