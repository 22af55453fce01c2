"""Every kind of check on every way to a service, by both IP versions: who answers, and who no more.

Two members serve: `wild` by sockets that belong to no address, `bound` by such of its own network.
Both answer datagrams with the socket that they have, as most servers do.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import mesh
from tests.e2e.appliance import PATIENCE_S, Appliance, run, until
from tests.e2e.mesh import CLIENT, HERE, HERE6, HOST, HOST6, MASKED
from tests.scenario import certificates

FOLDER = Path(__file__).parent
# kind of check → its words, what asks, and the target port
KINDS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "none": (("none",), "http", "80/tcp"),
    "tcp": (("tcp:80",), "http", "80/tcp"),
    "http": (("http://:80/",), "http", "80/tcp"),
    "tls": (("tls:443",), "tls", "443/tcp"),
    "https": (("https://:443/",), "tls", "443/tcp"),
    "exec": (("exec:bash -c '</dev/tcp/$SDD_ADDRESS/80'",), "http", "80/tcp"),
    "ttl": (("ttl:90s",), "http", "80/tcp"),
    "dns": (("dns:53/x.test",), "dns", "53/udp"),
    "udp": (("udp:54", "--health-send", "x", "--health-expect", "d"), "echo", "54/udp"),
}
# way → what is added to the base of the kind's ports, and how it is published
WAYS = {
    "ingress": (0, "mode=ingress"),
    "snat": (1, "policy=snat"),
    "local": (2, "policy=local"),
    "host": (3, "mode=host"),
    "host-snat": (4, "mode=host,policy=snat"),
}
BASES = {kind: 9000 + 10 * at for at, kind in enumerate(KINDS)}
GATE, GATE6 = "10.81.0.1", "fd81::1"
SEEN = {  # by way and IP version: whom members see; None: an address of the daemon's own choice
    ("ingress", 4): HERE,
    ("ingress", 6): HERE6,
    ("snat", 4): MASKED,
    ("snat", 6): None,
    ("local", 4): HERE,
    ("local", 6): HERE6,
    ("host", 4): HERE,
    ("host", 6): HERE6,
    ("host-snat", 4): GATE,
    ("host-snat", 6): GATE6,
}
BOTH = {"wild", "bound"}


@pytest.fixture(scope="module")
def made() -> Iterator[certificates.Certificates]:
    with certificates.made() as made:
        yield made


@pytest.fixture(scope="module", autouse=True)
def world(daemon: Appliance) -> Iterator[None]:
    with mesh.outside(daemon):
        subnets = ("--subnet", "10.81.0.0/24", "--subnet", "fd81::/64")
        daemon.sdctl("network", "create", "dual", "--ipv6", *subnets)
        for kind in KINDS:
            daemon.sdctl("service", "create", kind, "--network", "dual", *options(kind))
        joins = [word for kind in KINDS for word in ("--service", kind)]
        for name in sorted(BOTH):
            daemon.sandbox(name, "--network", "dual", *joins)
        daemon.sandbox("asks", "--network", "dual")
        yield


@pytest.fixture
def servers(
    daemon: Appliance, made: certificates.Certificates
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Started, and up on every way."""
    started = {}
    for name in sorted(BOTH):
        own = addresses(daemon, name) if name == "bound" else ()
        command = (str(FOLDER / "many_servers.py"), name, str(made.chain), str(made.key), *own)
        started[name] = daemon.program(name, sys.executable, *command)
        daemon.sdctl("service", "report", "ttl", daemon.name(name), "pass")
    until(lambda: all(up(daemon, kind) == BOTH for kind in KINDS), 120, lambda: table(daemon))
    daemon.until_done()
    yield started
    for each in started.values():
        each.kill()
        each.wait(PATIENCE_S)


def options(kind: str) -> list[str]:
    check, _, target = KINDS[kind]
    number, protocol = target.split("/")
    words = ["--scheduler", "rr", "--health", *check]
    if kind not in ("none", "ttl"):
        words += [
            "--health-interval",
            "1s",
            "--health-timeout",
            "5s",
        ]  # a busy one is not a dead one
    for more, how in WAYS.values():
        port = f"published={BASES[kind] + more},target={number},protocol={protocol},{how}"
        words += ["--publish", port]
    return words


def addresses(daemon: Appliance, name: str) -> tuple[str, str]:
    (box,) = daemon.json("sandbox", "inspect", daemon.name(name))
    plug = box["Networks"]["dual"]
    return plug["IPAddress"], plug["GlobalIPv6Address"]


def up(daemon: Appliance, kind: str) -> set[str]:
    """The members that are up on every way."""
    rows = daemon.json("service", "ps", kind)
    return {
        row["Sandbox"].rsplit("-", 1)[1]
        for row in rows
        if row["State"] == "up" and not row["Failing"] and not row["IngressFailing"]
    }


def table(daemon: Appliance) -> str:
    return "\n".join(daemon.sdctl("service", "ps", kind).stdout for kind in KINDS)


def ask(where: str, *asked: tuple[str, str, int]) -> list[str]:
    words = [str(word) for each in asked for word in each]
    command = (sys.executable, str(FOLDER / "many_clients.py"), *words)
    answers: list[str] = json.loads(run("ip", "netns", "exec", where, *command).stdout)
    return answers


def by_ways(kind: str, times: int, *, how: str = "") -> dict[tuple[str, int], list[str]]:
    """Way and IP version → what was answered to a client outside."""
    asks = KINDS[kind][1] + how
    ways = [(way, version) for way in WAYS for version in (4, 6) for _ in range(times)]
    to = {4: HOST, 6: HOST6}
    asked = [(asks, to[version], BASES[kind] + WAYS[way][0]) for way, version in ways]
    found: dict[tuple[str, int], list[str]] = {}
    for each, answer in zip(ways, ask(CLIENT, *asked), strict=True):
        found.setdefault(each, []).append(answer)
    return found


def by_vips(daemon: Appliance, kind: str, times: int, *, how: str = "") -> list[str]:
    (made,) = daemon.json("service", "inspect", kind)
    _, asks, target = KINDS[kind]
    number = int(target.split("/")[0])
    asked = [(asks + how, vip, number) for vip in made["VIPs"] for _ in range(times)]
    return ask(daemon.name("asks"), *asked)


def test_each_way_leads_to_both_members_who_see_whom_they_should(
    daemon: Appliance, servers: dict[str, subprocess.Popen[bytes]]
) -> None:
    own = addresses(daemon, "asks")
    for kind in KINDS:
        for (way, version), answers in by_ways(kind, 2).items():
            seen = SEEN[way, version]
            assert {each.split()[0] for each in answers} == BOTH, (kind, way, version, answers)
            assert seen is None or {each.split()[-1] for each in answers} == {seen}, (kind, way)
        wanted = sorted(f"{name} {each}" for name in BOTH for each in own)
        assert sorted(by_vips(daemon, kind, 2)) == wanted, kind
    ended = {name: each.poll() for name, each in servers.items()}
    assert ended == dict.fromkeys(BOTH), "no datagram server failed at a check"


def test_who_ends_leaves_every_way_and_without_anybody_all_refuse_at_once(
    daemon: Appliance, servers: dict[str, subprocess.Popen[bytes]]
) -> None:
    for name, wanted in (("wild", {"bound"}), ("bound", {"ConnectionRefusedError:"})):
        servers[name].kill()
        daemon.sdctl("service", "report", "ttl", daemon.name(name), "fail")
        for kind in KINDS:
            if kind != "none":
                wait_for(daemon, kind, wanted)
    daemon.sdctl("verify")


@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_the_trace_of_each_way_tells_who_was_led_to_and_whom_that_one_sees(
    daemon: Appliance, kind: str
) -> None:
    box, own = daemon.name("asks"), addresses(daemon, "asks")
    protocol = KINDS[kind][2].partition("/")[2]
    for (way, version), seen in SEEN.items():
        to = HOST if version == 4 else f"[{HOST6}]"
        target = f"{to}:{BASES[kind] + WAYS[way][0]}/{protocol}"
        last = traced(daemon, target, box)
        led = re.fullmatch(rf"tried: .*ed in .* led to {box[:-4]}(\w+) .*, which sees (\S+)", last)
        assert led, last
        assert led[1] in BOTH
        mine = own[version == 6]
        assert seen is None or led[2] == (mine if seen in (HERE, HERE6) else seen), last


def traced(daemon: Appliance, target: str, box: str) -> str:
    """The last line, of a try that was heard of: a trace waits 0.3 s for the answer to a datagram."""
    lines = [""]

    def is_answered() -> bool:
        lines[:] = daemon.sdctl("lb", "trace", target, "--from", box).stdout.splitlines()
        return "no answer" not in lines[-1]

    until(is_answered, PATIENCE_S, lambda: lines[-1])
    return lines[-1]


@pytest.mark.parametrize(
    ("to", "told"),
    [
        ("127.0.0.1:9013", "is the sandbox itself"),
        (f"{HOST}", "add a published port"),
        (f"{HOST}:9010/udp", "9010/tcp is: add /tcp"),
        (f"{HOST}:1", "port 1/tcp is not published at"),
        ("10.81.0.99:80", "it sees: "),
    ],
)
def test_what_leads_nowhere_says_what_to_ask_instead(daemon: Appliance, to: str, told: str) -> None:
    done = daemon.sdctl("lb", "trace", to, "--from", daemon.name("asks"), check=False)
    assert done.returncode == 1
    assert told in done.stderr
    assert "[SDD-LB-VIP]" in done.stderr


def wait_for(daemon: Appliance, kind: str, wanted: set[str]) -> None:
    """All ways of `kind` lead to those alone."""
    seen: dict[tuple[str, int], list[str]] = {}
    times = 2 if wanted <= BOTH else 1

    def is_so() -> bool:
        seen.update(by_ways(kind, times, how="+"))
        seen["vip", 0] = by_vips(daemon, kind, times, how="+")
        return {each.split()[0] for many in seen.values() for each in many} == wanted

    until(is_so, 120, lambda: f"{kind}: {wanted}, not {seen}\n{table(daemon)}")
