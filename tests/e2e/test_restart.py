"""kill -9, restart and hands in the kernel: nothing is lost, nothing doubled, all comes back."""

import difflib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import pytest

from sdd.model.progress import Backend
from tests.e2e.appliance import Appliance, appliance, until
from tests.e2e.retries import asked_again

SUBNET6 = ("--subnet", "fd71::/64")
REPAIR_S = 30  # the bound that the product promises


@pytest.fixture(scope="module")
def daemon() -> Iterator[Appliance]:
    with appliance("restart") as one:
        one.sdctl("network", "create", "front", "--subnet", "10.70.0.0/24")
        one.sdctl("network", "create", "six", "--ipv6", "--subnet", "10.71.0.0/24", *SUBNET6)
        one.sdctl("network", "create", "inner", "--internal", "--subnet", "10.72.0.0/24")
        one.sandbox("web1", "--network", "front")
        one.sandbox("client", "--network", "front")
        one.sandbox("dual", "--network", "six", "--network", "inner")
        one.sdctl("service", "create", "web", "--network", "front", "--health", "tcp:80")
        one.serve("web1")
        one.sdctl("service", "join", "web", one.name("web1"))
        until(lambda: works(one), 60, "the service works")
        yield one


LOOKUPS = """
while test ! -e "$1"; do
  getent ahostsv4 web1 >/dev/null || exit 1
  curl -s -m30 http://web/ >/dev/null || exit 2
  echo done
done
"""


# resolv.conf(5): what a stub asks once is not asked again when it was lost.
ASK_ONCE = os.environ | {"RES_OPTIONS": "timeout:30 attempts:1"}


def works(one: Appliance) -> bool:
    return (
        "from web1" in one.inside("client", "curl", "-s", "-m10", "http://web/", check=False).stdout
    )


OWNED = re.compile(r"^table \w+ sdd-(?:signs|counts) \{.*?^\}\n\n?", re.MULTILINE | re.DOTALL)


def kernel(one: Appliance) -> str:
    """Everything ours in the kernel, as the tools print it."""
    views = [
        one.on_host("ip", "-br", "link").stdout,
        one.on_host("ip", "-br", "address").stdout,
        mtus(one.on_host("ip", "-o", "link").stdout),
        # Tables that the process owns go with it.
        OWNED.sub("", one.on_host("nft", "list", "ruleset").stdout).strip(),
        one.on_host("ip", "route").stdout,
        one.on_host("ip", "-6", "route").stdout,
    ]
    for sandbox in ("web1", "client", "dual"):
        views += [
            one.inside(sandbox, "ip", "-br", "address").stdout,
            mtus(one.inside(sandbox, "ip", "-o", "link").stdout),
            one.inside(sandbox, "ip", "route", "show", "table", "all").stdout,
            one.inside(sandbox, "ip", "-6", "route").stdout,
            one.inside(sandbox, "nft", "list", "ruleset").stdout,
        ]
    lines = "\n".join(views).splitlines()
    return "\n".join(settled(line) for line in lines if not PASSING.search(line))


def mtus(links: str) -> str:
    """Name and MTU of each link."""
    return "\n".join(map(" ".join, re.findall(r"^\d+: ([^@:]+).* mtu (\d+)", links, re.MULTILINE)))


# What the kernel chooses or does by itself, at its own pace: counters, link-local addresses and
# routes, the host's end's MAC address.
PASSING = re.compile(r"counter packets|^(local|anycast|multicast)? ?(fe80|ff00)|LOWERLAYERDOWN")
CHOSEN = re.compile(r"fe80::\S+|(?<=UP)\s+([0-9a-f]{2}:){5}[0-9a-f]{2}(?= <BROADCAST)")


def settled(line: str) -> str:
    return " ".join(CHOSEN.sub("", line).split())


def worker_pids(one: Appliance) -> set[str]:
    """The DNS workers of this appliance; the machine may run others."""
    return {
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"resolver.worker" in read(path)
        and f"{one.root}/exec".encode() in read(path).split(b"\0")
    }


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_A8_86_115_kill_9_loses_no_answer_and_a_restart_adopts(
    daemon: Appliance, tmp_path: Path
) -> None:
    before, workers, lost = kernel(daemon), worker_pids(daemon), asked_again(daemon.name("client"))
    enough, said = tmp_path / "enough", tmp_path / "said"
    inside = ("ip", "netns", "exec", daemon.name("client"))
    with said.open("w") as out:
        lookups = subprocess.Popen(
            [*inside, "sh", "-c", LOOKUPS, "sh", str(enough)], stdout=out, env=ASK_ONCE
        )
    try:
        until(said.read_text, 60, "it asks")
        daemon.kill()
        assert works(daemon)
        dead = len(said.read_text())
        until(lambda: len(said.read_text()) > dead, 60, "it is answered while no daemon runs")
        daemon.start()
    finally:
        enough.touch()
        assert lookups.wait(120) == 0
    assert asked_again(daemon.name("client")) == lost
    assert kernel(daemon) == before, difference(before, kernel(daemon))
    assert worker_pids(daemon) == workers
    assert daemon.sdctl("service", "ls").stdout.count("1/1") == 1


def test_a_term_and_start_keeps_everything(daemon: Appliance) -> None:
    before = kernel(daemon)
    daemon.kill(15)
    assert works(daemon)
    daemon.start()
    assert kernel(daemon) == before, difference(before, kernel(daemon))


def resolves(one: Appliance) -> bool:
    """Whether one question is answered within a second: what was lost is not asked again."""
    ask = ("dig", "+short", "+tries=1", "+time=1", "@127.0.0.11", "web1")
    return "10.70." in one.inside("client", *ask, check=False).stdout


def told_of(one: Appliance, event: str) -> list[str]:
    """The pids of this event's workers."""
    found = one.sdctl("-o", "jsonl", "events", "--since", "1h", "-f", f"event={event}").stdout
    return [json.loads(line)["Actor"]["Attributes"]["pid"] for line in found.splitlines()]


def page(one: Appliance) -> str:
    return one.on_host("curl", "-sS", "-m30", "http://127.0.0.1:9653/metrics").stdout


def starts(one: Appliance) -> float:
    found = re.search(r"^sdd_dns_worker_starts_total (\S+)$", page(one), re.MULTILINE)
    assert found is not None
    return float(found[1])


def test_a_dead_dns_worker_is_started_again_and_told_of(daemon: Appliance) -> None:
    (worker,) = worker_pids(daemon)
    before = starts(daemon)
    subprocess.run(["kill", "-9", worker], check=True)
    until(lambda: resolves(daemon), 60, "names are back")
    (new,) = worker_pids(daemon)
    until(lambda: told_of(daemon, "worker_start")[-1] == new, 60, "an event tells of it")
    assert told_of(daemon, "worker_end")[-1] == worker
    assert starts(daemon) == before + 1
    for line in (
        rf"dns.worker.ended .*pid={worker} why=\"(signal SIGKILL|the DNS worker hung up)",
        rf"dns.worker.started .*pid={new}",
    ):
        assert re.search(line, daemon.log()), line


def test_a_hanging_dns_worker_is_told_of_and_replaced_within_ten_seconds(
    daemon: Appliance,
) -> None:
    (worker,) = worker_pids(daemon)
    until(lambda: ready(daemon) == "ok", 60, "it is ready")
    assert "sdd_dns_requests_total{" in page(daemon)
    with held_workers(daemon):  # the next one as well, so that people have time to look
        begun = daemon.own_s()
        assert "sdd_dns_requests_total{" in page(daemon)  # what was counted last, without a wait
        until(lambda: "DNS worker" in ready(daemon), 60, "it is told of")
        until(
            lambda: worker not in worker_pids(daemon),
            10 - (daemon.own_s() - begun),
            "it is replaced",
            daemon.own_s,
        )
    until(lambda: resolves(daemon), 60, "names are back")
    until(lambda: told_of(daemon, "worker_end")[-1] == worker, 60, "an event tells of it")
    until(lambda: ready(daemon) == "ok", 60, "it is ready")
    assert "dns.worker.dismissed" in daemon.log()


@contextmanager
def held_workers(one: Appliance) -> Iterator[None]:
    """Each DNS worker stands still, also one that is started meanwhile."""
    enough = Event()

    def each_worker(signum: signal.Signals) -> None:
        for pid in worker_pids(one):
            with suppress(ProcessLookupError):
                os.kill(int(pid), signum)

    def hold() -> None:
        while not enough.wait(0.02):
            each_worker(signal.SIGSTOP)

    each_worker(signal.SIGSTOP)
    holding = Thread(target=hold)
    holding.start()
    try:
        yield
    finally:
        enough.set()
        holding.join()
        each_worker(signal.SIGCONT)


def test_a_daemon_that_starts_says_so(daemon: Appliance) -> None:
    daemon.kill()
    with ThreadPoolExecutor() as pool:
        with held_workers(daemon):  # what it waits for
            starting = pool.submit(daemon.start, deadline_s=120)
            until(lambda: state(daemon) == (1, "starting"), 60, "it says that it starts")
            assert "first pass" in ready(daemon)
            assert daemon.sdctl("service", "ls").stdout.count("web") == 1
            assert "sdd_build_info" in page(daemon)
            assert daemon.process is not None
            before = daemon.log().count("config.reloaded")
            daemon.process.send_signal(signal.SIGHUP)
        starting.result()
    assert state(daemon) == (0, "ready")
    # What it was asked to read again meanwhile it has read by now, or does soon.
    until(lambda: daemon.log().count("config.reloaded") > before, 60, "it reads them again")


def test_a_daemon_that_starts_can_be_stopped(daemon: Appliance) -> None:
    daemon.kill()
    with ThreadPoolExecutor() as pool, held_workers(daemon):
        starting = pool.submit(daemon.start, deadline_s=120)
        until(lambda: state(daemon) == (1, "starting"), 60, "it says that it starts")
        daemon.kill(signal.SIGTERM)
        with pytest.raises(AssertionError, match="sdd ended with 0"):
            starting.result()
    daemon.start()
    assert works(daemon)


def state(one: Appliance) -> tuple[int, str]:
    found = one.sdctl("-o", "name", "status", check=False)
    return found.returncode, found.stdout.strip()


def ready(one: Appliance) -> str:
    return one.on_host("curl", "-sS", "-m30", "http://127.0.0.1:9653/readyz").stdout.strip()


@pytest.mark.parametrize(
    ("where", "damage"),
    [
        ("host", "nft delete table inet sdd"),
        ("host", "ip addr flush dev BRIDGE"),
        ("client", "nft delete table inet sdd-dns"),
        ("client", "nft delete table inet sdd-lb"),
        ("host", "ip route del 10.70.0.0/24"),
        ("host", "ip route del 10.72.0.0/24"),
        ("host", "ip -6 route del fd71::/64"),
        ("client", "ip route del default"),
        ("client", "ip route del 10.70.0.0/24"),
        ("client", "ip route flush dev eth0"),
        ("dual", "ip -6 route del default"),
        ("dual", "ip -6 route del fd71::/64"),
        ("dual", "ip route del 10.72.0.0/24"),
        ("client", "ip addr flush dev eth0"),
        ("client", "ip addr del 127.0.0.1/8 dev lo"),
        ("client", "ip link set eth0 down"),
        ("client", "ip link set eth0 mtu 1300"),
        ("client", "ip link del eth0"),
    ],
)
def test_A8_119_what_is_deleted_by_hand_comes_back(
    daemon: Appliance, where: str, damage: str
) -> None:
    (network,) = daemon.json("network", "inspect", "front")
    before, repaired = kernel_shape(daemon), repairs(daemon)
    command = damage.replace("BRIDGE", f"br-{network['Id'][:12]}").split()
    if where == "host":
        daemon.on_host(*command)
    else:
        daemon.inside(where, *command)
    until(
        lambda: kernel_shape(daemon) == before and repairs(daemon) > repaired,
        REPAIR_S,
        lambda: (
            f"{damage} is repaired; still different:\n{difference(before, kernel_shape(daemon))}"
        ),
        daemon.own_s,
    )
    until(lambda: works(daemon), 60, "the service works again")


def repairs(one: Appliance) -> float:
    """How many steps undid what somebody else had changed; metrics and status count the same."""
    page = one.on_host(
        "curl", "-s", "--unix-socket", one.url.removeprefix("unix://"), "http://sdd/metrics"
    ).stdout
    found = re.findall(r"^sdd_reconcile_drift_total\{.*\} (\S+)$", page, re.MULTILINE)
    assert len(found) == len(Backend)
    (status,) = one.json("status")
    counted = sum(each["Repaired"] for each in status["Backends"])
    assert counted >= sum(map(float, found))
    return float(counted)


def difference(before: str, after: str) -> str:
    return "\n".join(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0))


def kernel_shape(one: Appliance) -> str:
    """The kernel view without link indexes, which a new link changes."""
    words = (
        " ".join(word.split("@")[0] for word in line.split()) for line in kernel(one).splitlines()
    )
    return "\n".join(sorted(words))


def test_a_second_daemon_on_the_same_root_is_refused(daemon: Appliance) -> None:
    second = daemon.on_host(*daemon.command(), check=False)
    assert second.returncode == 1
    assert "already uses" in second.stderr
    assert "[SDD-LOCKED]" in second.stderr
    assert works(daemon)


def test_a_second_daemon_with_roots_of_its_own_is_refused_on_the_same_host(
    daemon: Appliance, tmp_path: Path
) -> None:
    """Two would take each other's links and rules for leftovers."""
    program = daemon.command()[0]
    roots = ("--data-root", f"{tmp_path}/data", "--exec-root", f"{tmp_path}/exec")
    second = daemon.on_host(program, *roots, check=False)
    assert second.returncode == 1
    assert "already serves this network namespace" in second.stderr
    assert works(daemon)
