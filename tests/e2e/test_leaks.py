"""What comes and goes leaves nothing behind in the daemon, its worker or the kernel.

SDD_ROUNDS sets how often (docs/testing.md): a leak of one thing a round shows after a hundred.
"""

import os
from collections import Counter
from contextlib import suppress
from pathlib import Path

from sdd.client import Client
from tests.e2e.appliance import Appliance, until
from tests.support import eventually

ROUNDS = int(os.environ.get("SDD_ROUNDS", "100"))
WARM_UP = 10  # thread pools and caches have their size by then
POOL = (os.cpu_count() or 1) + 4  # threads that asyncio makes one by one, when all are busy
SETTLE_S = 120.0
MANY = 60
MOST_DESCRIPTORS = 4  # a sandbox, and a constant (dns_and_users.md A8-76): two sockets, held twice


def held(daemon: Appliance) -> Counter[str]:
    """How many things of each kind there are now."""
    found: Counter[str] = Counter()
    for pid in daemon.pids():
        with suppress(OSError):  # a program that ends meanwhile
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            of = "worker" if b"resolver.worker" in command else "sdd"
            descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
            found[f"threads of {of}"] += len(list(Path(f"/proc/{pid}/task").iterdir()))
            found[f"descriptors of {of}"] += descriptors
    found["processes"] = len(daemon.pids())
    found["namespaces"] = len(list((daemon.root / "exec" / "netns").iterdir()))
    found["mounts"] = Path("/proc/self/mountinfo").read_text().count(f" {daemon.root}/")
    found["links"] = len(daemon.on_host("ip", "-o", "link").stdout.splitlines())
    found["nft"] = len(daemon.on_host("nft", "list", "ruleset").stdout.splitlines())
    found["files"] = sum(len(files) for _, _, files in os.walk(daemon.root / "data"))
    return found


def nothing_more(daemon: Appliance, before: Counter[str]) -> None:
    """What is closed in the background has a while to go."""
    before = before + Counter({"threads of sdd": POOL})
    until(
        lambda: not held(daemon) - before,
        SETTLE_S,
        lambda: f"left behind: {dict(held(daemon) - before)}; the log:\n{daemon.log()[-2000:]}",
    )


def test_A8_80_networks_that_are_joined_and_left_leave_nothing(daemon: Appliance) -> None:
    client = Client(daemon.url, 120)
    for name in ("stay", "visit"):
        daemon.sdctl("network", "create", name)
    box = daemon.sandbox("guest", "--network", "stay")
    before: Counter[str] = Counter()
    for number in range(WARM_UP + ROUNDS):
        if number == WARM_UP:
            before = held(daemon)
        client.post("/v1/networks/visit/connect", {"sandbox": box})
        client.post("/v1/networks/visit/disconnect", {"sandbox": box})
    nothing_more(daemon, before)


def test_A8_80_sandboxes_that_come_and_go_leave_nothing(daemon: Appliance) -> None:
    client = Client(daemon.url, 120)
    daemon.sdctl("network", "create", "hotel")
    daemon.sandbox("host", "--network", "hotel")
    before: Counter[str] = Counter()
    for number in range(WARM_UP + ROUNDS):
        if number == WARM_UP:
            before = held(daemon)
        name = daemon.name(f"passing{number % 7}")
        client.post("/v1/sandboxes", {"name": name, "attachments": [{"network": "hotel"}]})
        client.delete(f"/v1/sandboxes/{name}")
    nothing_more(daemon, before)


def test_A8_76_a_sandbox_costs_at_most_four_descriptors(daemon: Appliance) -> None:
    client = Client(daemon.url, 120)
    daemon.sdctl("network", "create", "crowd")
    daemon.sandbox("first", "--network", "crowd")
    before = held(daemon)
    for number in range(MANY):
        name = daemon.name(f"crowd{number}")
        client.post("/v1/sandboxes", {"name": name, "attachments": [{"network": "crowd"}]})

    def cost() -> int:
        more = held(daemon) - before
        return more["descriptors of sdd"] + more["descriptors of worker"]

    # Sockets of netfilter are closed a moment later, by a thread of its own.
    eventually(lambda: cost() <= MOST_DESCRIPTORS * MANY + WARM_UP, 120, "what is over is closed")
    more = held(daemon) - before
    assert more["threads of sdd"] + more["threads of worker"] < MANY  # not one a sandbox
