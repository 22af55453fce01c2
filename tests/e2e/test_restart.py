"""kill -9, restart and hands in the kernel: nothing is lost, nothing doubled, all comes back."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.appliance import Appliance, appliance, until

REPAIR_S = 30  # the bound that the product promises


@pytest.fixture(scope="module")
def daemon() -> Iterator[Appliance]:
    with appliance("restart") as one:
        one.sdctl("network", "create", "front", "--subnet", "10.70.0.0/24")
        one.sandbox("web1", "--network", "front")
        one.sandbox("client", "--network", "front")
        one.sdctl("service", "create", "web", "--network", "front", "--health", "tcp:80")
        one.serve("web1")
        one.sdctl("service", "join", "web", one.name("web1"))
        until(lambda: works(one), 15, "the service works")
        yield one


LOOKUPS = """
for i in $(seq 60); do
  getent ahostsv4 web1 >/dev/null || exit 1
  curl -s -m2 http://web/ >/dev/null || exit 2
  sleep 0.05
done
"""


def works(one: Appliance) -> bool:
    return (
        "from web1" in one.inside("client", "curl", "-s", "-m2", "http://web/", check=False).stdout
    )


def kernel(one: Appliance) -> str:
    """Everything ours in the kernel, as the tools print it."""
    views = [
        one.on_host("ip", "-br", "link").stdout,
        one.on_host("ip", "-br", "address").stdout,
        one.on_host("nft", "list", "ruleset").stdout,
    ]
    for sandbox in ("web1", "client"):
        views += [
            one.inside(sandbox, "ip", "-br", "address").stdout,
            one.inside(sandbox, "ip", "route", "show", "table", "all").stdout,
            one.inside(sandbox, "nft", "list", "ruleset").stdout,
        ]
    lines = "\n".join(views).splitlines()
    return "\n".join(line for line in lines if "counter packets" not in line)


def worker_pids() -> set[str]:
    return {
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if path.exists() and b"resolver.worker" in read(path)
    }


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_A8_86_kill_9_loses_no_answer_and_no_connection_and_a_restart_adopts(
    daemon: Appliance,
) -> None:
    before, workers = kernel(daemon), worker_pids()
    lookups = subprocess.Popen(
        [
            "ip",
            "netns",
            "exec",
            daemon.name("client"),
            "sh",
            "-c",
            LOOKUPS,
        ],
    )
    daemon.kill()
    assert works(daemon)
    daemon.start()
    assert lookups.wait(60) == 0
    assert kernel(daemon) == before
    assert worker_pids() == workers
    assert daemon.sdctl("service", "ls").stdout.count("1/1") == 1


def test_a_term_and_start_keeps_everything(daemon: Appliance) -> None:
    before = kernel(daemon)
    daemon.kill(15)
    assert works(daemon)
    daemon.start()
    assert kernel(daemon) == before


def test_a_dead_dns_worker_is_started_again(daemon: Appliance) -> None:
    ours = [
        pid
        for pid in worker_pids()
        if str(daemon.root).encode() in read(Path(f"/proc/{pid}/environ"))
    ]
    assert len(ours) == 1
    subprocess.run(["kill", "-9", ours[0]], check=True)
    until(
        lambda: daemon.inside("client", "getent", "ahostsv4", "web1", check=False).returncode == 0,
        REPAIR_S,
        "names are back",
    )


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("where", "damage"),
    [
        ("host", "nft delete table inet sdd"),
        ("host", "ip addr flush dev BRIDGE"),
        ("client", "nft delete table inet sdd-dns"),
        ("client", "nft delete table inet sdd-lb"),
        ("client", "ip route del default"),
        ("client", "ip addr flush dev eth0"),
        ("client", "ip link set eth0 down"),
        ("client", "ip link del eth0"),
    ],
)
def test_what_is_deleted_by_hand_comes_back(daemon: Appliance, where: str, damage: str) -> None:
    (network,) = daemon.json("network", "inspect", "front")
    before = kernel_shape(daemon)
    command = damage.replace("BRIDGE", f"br-{network['Id'][:12]}").split()
    if where == "host":
        daemon.on_host(*command)
    else:
        daemon.inside(where, *command)
    assert kernel_shape(daemon) != before
    until(lambda: kernel_shape(daemon) == before, REPAIR_S, f"{damage} is repaired")
    until(lambda: works(daemon), 5, "the service works again")


def kernel_shape(one: Appliance) -> str:
    """The kernel view without link indexes and link-local addresses, which a new link changes."""
    lines = []
    for line in kernel(one).splitlines():
        words = [w.split("@")[0] for w in line.split() if not w.startswith(("fe80", "ff00"))]
        if "fe80" not in line and "LOWERLAYERDOWN" not in line:
            lines.append(" ".join(words))
    return "\n".join(sorted(lines))


def test_a_second_daemon_on_the_same_root_is_refused(daemon: Appliance) -> None:
    first = daemon.process
    try:
        with pytest.raises(AssertionError, match="already"):
            daemon.start()
    finally:
        daemon.process = first
    assert works(daemon)
