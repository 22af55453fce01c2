"""The stub matrix: real glibc, real musl, c-ares and a Go-like client through our server.

Rows are those of dns_and_users.md A1: what the upstream server does for a name. What a stub makes
of it with us between stands in `ROWS`; where it is better than the stub alone would fare, a
comment says so. Bare names of A1 have one dot here and ndots is 2: who sets ndots in his settings keeps names of one
label from being forwarded (docker.md N15). No time is compared but with the patience of stubs.
"""

import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sdd.client import Client
from tests.e2e.appliance import Appliance, run
from tests.e2e.test_sealed import started

STUBS = Path(__file__).parent / "stubs"
UPSTREAM = "127.0.0.53"
FOUR, SIX = {"192.0.2.1"}, {"2001:db8::1"}
BOTH = FOUR | SIX
NONE: set[str] = set()
CLIENTS = ("glibc", "musl", "cares", "golike")
SEARCHING = "cares with its search list"
AT_ONCE, PATIENT = 2.0, 7.0
TRIES = 5  # a busy machine makes anybody late now and then, a wait of a stub is one each time


class Row(NamedTuple):
    """`said` and addresses by client, and how long the slowest may take, in seconds."""

    box: str
    name: str
    glibc: tuple[str, set[str]]
    musl: tuple[str, set[str]]
    cares: tuple[str, set[str]] | None
    golike: tuple[str, set[str]]
    within: dict[str, float]


def same(box: str, name: str, said: str, found: set[str], **within: float) -> Row:
    one = (said, found)
    return Row(box, name, one, one, one, one, within)


def searched(name: str, glibc: str, musl: str, golike: str, patience: float = AT_ONCE) -> Row:
    """c-ares applies no search list when asked by `resolve`."""

    def of(said: str) -> tuple[str, set[str]]:
        return said, BOTH if said == "ok" else NONE

    box = "zero" if name.startswith("found") else "search"
    return Row(box, name, of(glibc), of(musl), None, of(golike), {"musl": patience})


ROWS = (
    same("plain", "ok.x.test", "ok", BOTH),
    same("plain", "six-nodata.x.test", "ok", FOUR),
    same("plain", "six-nx.x.test", "ok", FOUR),  # musl alone: "does not resolve" (A8-107)
    Row(
        "plain",
        "six-servfail.x.test",
        ("ok", FOUR),
        ("again", NONE),
        ("ok", FOUR),
        ("ok", FOUR),
        {"musl": PATIENT},
    ),
    Row(
        "plain",
        "six-drop.x.test",
        ("ok", FOUR),  # alone: after 15 s
        ("again", NONE),
        ("ok", FOUR),
        ("ok", FOUR),
        {"glibc": PATIENT, "musl": PATIENT, "cares": 12.0, "golike": PATIENT},
    ),
    same("plain", "nx.x.test", "none", NONE),
    same("plain", "nodata.x.test", "none", NONE),
    same("plain", "lame.x.test", "none", NONE),  # glibc alone: "Temporary failure"
    same("plain", "servfail.x.test", "again", NONE, musl=PATIENT),
    same("plain", "refused.x.test", "again", NONE, musl=PATIENT),
    same("plain", "notimp.x.test", "again", NONE, musl=PATIENT),
    same("plain", "formerr.x.test", "again", NONE, musl=PATIENT),
    same("plain", "tc.x.test", "ok", BOTH),  # musl 1.2.3 alone: "does not resolve"
    same(
        "plain", "drop.x.test", "again", NONE, glibc=12.0, musl=PATIENT, cares=12.0, golike=PATIENT
    ),
    same("nobody", "ok.y.test", "again", NONE, musl=PATIENT),
    searched("bare-nx.z", "ok", "ok", "ok"),
    searched("bare-nodata.z", "ok", "none", "ok"),
    searched("bare-servfail.z", "ok", "again", "ok", PATIENT),
    searched("found", "ok", "none", "ok"),
)


@pytest.fixture(scope="module")
def town(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Appliance, dict[str, list[str]]]]:
    """A daemon whose upstream is the world, and one sandbox for each resolv.conf."""
    folder = tmp_path_factory.mktemp("stubs")
    file = folder / "daemon.json"
    file.write_text(json.dumps({"dns": [UPSTREAM]}))
    commands = {
        "glibc": [str(folder / "glibc")],
        "musl": [str(folder / "musl")],
        "cares": ["node", str(STUBS / "cares.js")],
        "golike": [sys.executable, str(STUBS / "golike.py")],
        SEARCHING: [sys.executable, str(STUBS / "caressearch.py")],
    }
    run("gcc", "-o", str(folder / "glibc"), str(STUBS / "stub.c"))
    run("musl-gcc", "-static", "-o", str(folder / "musl"), str(STUBS / "stub.c"))
    daemon = Appliance("stubs", "--config", str(file))
    enter = ("nsenter", f"--net=/run/netns/{daemon.host}")
    with ExitStack() as stack:
        world = stack.enter_context(
            started(*enter, sys.executable, str(STUBS / "world.py"), UPSTREAM)
        )
        assert world.stdout is not None
        assert world.stdout.readline() == "up\n"
        stack.callback(daemon.close)
        daemon.start()
        daemon.sdctl("network", "create", "n")
        search = ("--dns-search", "corp.test")
        daemon.sandbox("plain", "--network", "n", "--dns-search", ".")
        daemon.sandbox("search", "--network", "n", *search, "--dns-opt", "ndots:2")
        daemon.sandbox("zero", "--network", "n", *search)
        daemon.sandbox("nobody", "--network", "n", "--dns", "127.0.0.9", "--dns-search", ".")
        yield daemon, commands


def asked(
    daemon: Appliance, box: str, command: list[str], *names: str, within: float = AT_ONCE
) -> Any:
    """What it says of the first name of which it says something in time, or of the last."""
    for name in names if len(names) > 1 else names * TRIES:
        found = json.loads(daemon.inside(box, *command, name).stdout)
        if found["seconds"] < within:
            break
    return found


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_A1_stub_matrix(
    town: tuple[Appliance, dict[str, list[str]]], row: Row, client: str
) -> None:
    wanted = getattr(row, client)
    if wanted is None:
        return
    daemon, commands = town
    head, _, rest = row.name.partition(".")
    # A new name each time: what is known of one already is answered faster.
    names = [f"{head}-{client}-{number}.{rest}" if rest else row.name for number in range(TRIES)]
    within = row.within.get(client, AT_ONCE)
    found = asked(daemon, row.box, commands[client], *names, within=within)
    assert (found["said"], set(found["addresses"])) == wanted, found
    assert found["seconds"] < within, found


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("lacks", "has"), [("six", FOUR), ("four", BOTH - FOUR)])
def test_A8_107_an_nxdomain_of_one_family_that_was_asked_alone_before(
    town: tuple[Appliance, dict[str, list[str]]], client: str, lacks: str, has: set[str]
) -> None:
    """A health check or `curl -6` leaves the denial in the cache, where musl then finds it."""
    daemon, commands = town
    name = f"{lacks}-nx-kept-{client}.x.test"
    alone = ("AAAA" if lacks == "six" else "A", "--from", daemon.name("plain"))
    for _ in range(2):  # from the cache as well
        daemon.sdctl("dns", "query", name, *alone, check=False)  # NXDOMAIN is exit 3
    for _ in range(2):
        found = asked(daemon, "plain", commands[client], name)
        assert (found["said"], set(found["addresses"])) == ("ok", has), found
        assert found["seconds"] < AT_ONCE


def test_A8_106_owned_ipv4_only_names_are_found_at_once_by_all(
    town: tuple[Appliance, dict[str, list[str]]],
) -> None:
    daemon, commands = town
    for client in CLIENTS:
        found = asked(daemon, "plain", commands[client], "search")
        assert found["said"] == "ok", (client, found)
        assert found["seconds"] < AT_ONCE


def test_the_glibc_of_every_program_is_the_same(
    town: tuple[Appliance, dict[str, list[str]]],
) -> None:
    daemon, _ = town
    done = daemon.inside("plain", "getent", "ahosts", "ok.z.test")
    assert {line.split()[0] for line in done.stdout.splitlines()} >= FOUR


def test_A8_110_a_hundred_addresses_are_found_by_all_also_without_tcp(
    town: tuple[Appliance, dict[str, list[str]]],
) -> None:
    """musl 1.2.3 has no TCP: it takes what the cut reply holds."""
    daemon, commands = town
    client = Client(daemon.url, 30.0)
    addresses = {f"192.0.2.{number}" for number in range(100)}
    for each in addresses:
        record = {"network": "n", "name": "hundred", "type": "A", "data": each}
        client.post("/v1/dns/records", record)
    for stub in CLIENTS:
        found = asked(daemon, "plain", commands[stub], "hundred")
        assert found["said"] == "ok", (stub, found)
        assert len(found["addresses"]) >= 20
        assert set(found["addresses"]) <= addresses
        assert found["seconds"] < AT_ONCE


def test_A8_112_a_bare_name_of_ours_needs_no_upstream_of_the_search_list(
    town: tuple[Appliance, dict[str, list[str]]],
) -> None:
    daemon, commands = town
    dead = ("--dns", "127.0.0.9", "--dns-search", "dead.test")
    daemon.sandbox("dead", "--network", "n", *dead)
    for stub in CLIENTS:
        found = asked(daemon, "dead", commands[stub], "plain")
        assert (found["said"], bool(found["addresses"])) == ("ok", True), (stub, found)
        assert found["seconds"] < AT_ONCE


@pytest.mark.parametrize("options", [(), ("--dns-search", "dead.test", "--dns-opt", "ndots:1")])
def test_A8_25_where_nobody_may_be_asked_no_stub_waits(
    town: tuple[Appliance, dict[str, list[str]]], options: tuple[str, ...]
) -> None:
    """musl asks again for 5 s after SERVFAIL, although nothing can come of it."""
    daemon, commands = town
    box = f"alone{len(options)}"
    daemon.sdctl("network", "create", f"n{box}", "--internal")
    daemon.sandbox(box, "--network", f"n{box}", *options)
    for stub in (*CLIENTS, SEARCHING):
        for name in ("www.example.org", "mistyped"):
            found = asked(daemon, box, commands[stub], name)
            assert found["said"] != "ok", (stub, found)
            assert found["seconds"] < AT_ONCE, (stub, found)
        found = asked(daemon, box, commands[stub], box)
        assert (found["said"], bool(found["addresses"])) == ("ok", True), (stub, found)


def kept_waiting_s(daemon: Appliance) -> float:
    """For how long others had the processors, so far."""
    return time.monotonic() - daemon.own_s()


HOLD = (
    "import signal, socket; holder = socket.socket(type=socket.SOCK_DGRAM); "
    "holder.bind(('127.0.0.9', 53)); print('up', flush=True); signal.pause()"
)
SILENT, REFUSED, SAYS_SERVFAIL, INTERNAL = "silent", "refused", "servfail", "internal"


@pytest.mark.parametrize("ndots", [1, 2])
@pytest.mark.parametrize("upstream", [SILENT, REFUSED, SAYS_SERVFAIL, INTERNAL])
def test_A8_112_the_search_list_leads_to_a_bare_name_of_ours_whatever_the_upstream_does(
    town: tuple[Appliance, dict[str, list[str]]], upstream: str, ndots: int
) -> None:
    """With `ndots` ≥ 1 `plain.dead.test` is asked before `plain`, with 2 `plain.n.dead.test` too."""
    daemon, commands = town
    box, network = f"{upstream}{ndots}", "n"
    options = ["--dns-search", "dead.test", "--dns-opt", f"ndots:{ndots}"]
    if upstream == INTERNAL:
        network = f"inner{ndots}"
        daemon.sdctl("network", "create", network, "--internal")
    elif upstream != SAYS_SERVFAIL:
        options += ["--dns", "127.0.0.9"]
    daemon.sandbox(box, "--network", network, *options)
    name = "plain" if upstream != INTERNAL else box
    with ExitStack() as stack:
        if upstream == SILENT:
            inside = ("nsenter", f"--net=/run/netns/{daemon.name(box)}")
            silent = stack.enter_context(started(*inside, sys.executable, "-c", HOLD))
            assert silent.stdout is not None
            assert silent.stdout.readline() == "up\n"
        for asks in (name, f"{name}.{network}")[:ndots]:
            for stub in (*CLIENTS, SEARCHING):
                # Once nobody knows yet that the server is silent, a try long, and never after that.
                within = 1.0 if stub != "glibc" else math.inf
                before = kept_waiting_s(daemon)
                found = asked(daemon, box, commands[stub], asks, within=within)
                assert (found["said"], bool(found["addresses"])) == ("ok", True), (stub, found)
                took = found["seconds"] - (kept_waiting_s(daemon) - before)
                assert took < 3.0 if stub == "glibc" else found["seconds"] < within, (stub, found)
        traced = daemon.sdctl("dns", "trace", name, "--from", daemon.name(box)).stdout
        assert f"{name} is ours" in traced


def test_A8_112_getent_hosts_of_an_ipv4_name_asks_nobody_else(
    town: tuple[Appliance, dict[str, list[str]]],
) -> None:
    """It asks for IPv6 first, and glibc goes on with the search list, to a silent server."""
    daemon, _ = town
    daemon.sandbox("getent", *("--network", "n", "--dns", "127.0.0.9", "--dns-search", "dead.test"))
    with ExitStack() as stack:
        inside = ("nsenter", f"--net=/run/netns/{daemon.name('getent')}")
        silent = stack.enter_context(started(*inside, sys.executable, "-c", HOLD))
        assert silent.stdout is not None
        assert silent.stdout.readline() == "up\n"
        for name in ("plain", "plain.n", "zero"):
            address, *called = daemon.inside("getent", "getent", "hosts", name).stdout.split()
            assert (":" in address, called) == (False, [name])
        gone = daemon.inside("getent", "getent", "hosts", "gone.n", check=False)
        assert gone.stdout == ""
        servers = daemon.json("dns", "upstream", "ls")
        assert [each["State"] for each in servers if each["From"] == daemon.name("getent")] == [
            "new"  # nobody asked it
        ]
