"""Published ports on real traffic: from outside, the host, 127.0.0.1, neighbours and the sandbox."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.appliance import RUN, Appliance, appliance, run, until

OUTSIDE = f"t-{RUN}-outside"
HOST, STRANGER = "192.0.2.1", "192.0.2.9"
HOST6, STRANGER6 = "2001:db8:7::1", "2001:db8:7::9"
ECHO = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", int(sys.argv[1])))
while True:
    _, peer = s.recvfrom(2048)
    s.sendto(f"{sys.argv[2]} {peer[0]}".encode(), peer)
"""
SLOW = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60)
print("connected", flush=True)
input()
s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
print(b"".join(iter(lambda: s.recv(4096), b"")).decode())
"""
ASK = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(float(sys.argv[3]))
s.bind(("0.0.0.0", 40000))
s.sendto(b"hello", (sys.argv[1], int(sys.argv[2])))
print(s.recv(2048).decode())
"""


@pytest.fixture(scope="module", autouse=True)
def world(daemon: Appliance) -> Iterator[None]:
    """A neighbour of the host on a link of its own; networks with both IP versions."""
    run("ip", "netns", "add", OUTSIDE)
    try:
        peer = ("peer", "name", "eth0", "netns", OUTSIDE)
        daemon.on_host("ip", "link", "add", "up0", "type", "veth", *peer)
        for where, link, *addresses in (
            (daemon.host, "up0", f"{HOST}/24", f"{HOST6}/64"),
            (OUTSIDE, "eth0", f"{STRANGER}/24", f"{STRANGER6}/64"),
        ):
            run("ip", "-n", where, "link", "set", link, "up")
            for address in addresses:
                options = ("nodad",) if ":" in address else ()
                run("ip", "-n", where, "addr", "add", address, "dev", link, *options)
        run("ip", "-n", OUTSIDE, "route", "add", "10.0.0.0/8", "via", HOST)
        daemon.sdctl("network", "create", "front", "--subnet", "10.77.0.0/24", "--ipv6")
        daemon.sdctl("network", "create", "back", "--subnet", "10.78.0.0/24")
        daemon.sandbox(
            "web", "--network", "front", "--publish", "8080:80", "-p", "127.0.0.1:8081:80"
        )
        daemon.sandbox("near", "--network", "front")
        daemon.sandbox("far", "--network", "back")
        daemon.serve("web")
        yield
    finally:
        run("ip", "netns", "del", OUTSIDE)


def get(url: str, where: str, *options: str) -> str:
    """What `curl` got in a namespace; its exit code when it got nothing."""
    command = ("ip", "netns", "exec", where, "curl", "-s", "-g", "--max-time", "10", *options, url)
    done = run(*command, check=False)
    return done.stdout if done.returncode == 0 else f"curl ends {done.returncode}"


def on_host(daemon: Appliance, url: str) -> str:
    done = daemon.on_host("curl", "-s", "-g", "--max-time", "10", url, check=False)
    return done.stdout if done.returncode == 0 else f"curl ends {done.returncode}"


@pytest.mark.usefixtures("daemon")
def test_C88_peers_64_strangers_reach_it_and_their_address_is_kept() -> None:
    assert get(f"http://{HOST}:8080/", OUTSIDE) == f"hello from web, you are {STRANGER}\n"
    assert get(f"http://[{HOST6}]:8080/", OUTSIDE) == f"hello from web, you are {STRANGER6}\n"


def test_C88_the_host_itself_reaches_it_by_each_of_its_addresses(daemon: Appliance) -> None:
    assert on_host(daemon, f"http://{HOST}:8080/") == f"hello from web, you are {HOST}\n"
    assert "hello from web" in on_host(daemon, f"http://[{HOST6}]:8080/")
    assert "hello from web" in on_host(daemon, "http://127.0.0.1:8080/")
    assert "hello from web" in on_host(daemon, "http://localhost:8080/")


def test_peers_68_a_port_answers_beside_another_network_and_a_strict_filter(
    daemon: Appliance,
) -> None:
    strict = ("net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.up0.rp_filter=1")
    daemon.on_host("sysctl", "-qw", *strict)
    name = daemon.sandbox("two", "--network", "back", "--network", "front", "--publish", "8068:80")
    daemon.serve("two")
    assert "hello from two" in get(f"http://{HOST}:8068/", OUTSIDE)
    daemon.sdctl("network", "disconnect", "back", name)
    assert "hello from two" in get(f"http://{HOST}:8068/", OUTSIDE)
    daemon.sdctl("sandbox", "rm", name)
    daemon.on_host("sysctl", "-qw", *(each.replace("=1", "=0") for each in strict))


def test_C88_C91_neighbours_other_networks_and_the_sandbox_itself_reach_it(
    daemon: Appliance,
) -> None:
    for name in ("near", "web", "far"):
        url = f"http://{HOST}:8080/"
        assert "hello from web" in get(url, daemon.name(name)), name
    (far,) = daemon.json("sandbox", "inspect", daemon.name("far"))
    own = far["Networks"]["back"]["IPAddress"]
    assert get(f"http://{HOST}:8080/", daemon.name("far")).endswith(f"you are {own}\n")


def test_C94_what_is_not_published_stays_closed(daemon: Appliance) -> None:
    (web,) = daemon.json("sandbox", "inspect", daemon.name("web"))
    own = web["Networks"]["front"]["IPAddress"]
    assert get(f"http://{own}:80/", OUTSIDE, "--max-time", "1") == "curl ends 28"


def test_C97_a_routed_network_opens_the_port_at_its_own_address(daemon: Appliance) -> None:
    modes = [f"com.docker.network.bridge.gateway_mode_ipv{each}=routed" for each in (4, 6)]
    options = [word for mode in modes for word in ("-o", mode)]
    daemon.sdctl("network", "create", "routed", "--subnet", "10.79.0.0/24", *options)
    plugs = ("--network", "front,ip=10.77.0.97", "--network", "routed,ip=10.79.0.97")
    daemon.sandbox("both", *plugs, "--publish", "8097:80")
    daemon.sandbox("alone", "--network", "routed,ip=10.79.0.98", "--publish", "8097:80")
    for name in ("both", "alone"):
        daemon.serve(name)
    assert STRANGER in get(f"http://{HOST}:8097/", OUTSIDE)
    assert "curl ends" in get("http://10.77.0.97/", OUTSIDE)
    for name, address in (("both", "10.79.0.97"), ("alone", "10.79.0.98")):
        assert f"from {name}" in get(f"http://{address}/", OUTSIDE)
    listed = daemon.sdctl("sandbox", "ls", "--filter", f"name={daemon.name('alone')}").stdout
    assert " 80/tcp" in listed
    assert daemon.sdctl("verify").returncode == 0
    for name in ("both", "alone"):
        daemon.sdctl("sandbox", "rm", daemon.name(name))


def test_C95_A8_120_a_port_on_127_0_0_1_is_for_the_host_alone(daemon: Appliance) -> None:
    assert "hello from web" in on_host(daemon, "http://127.0.0.1:8081/")
    assert get(f"http://{HOST}:8081/", OUTSIDE) == "curl ends 7"
    # A neighbour that sends packets for 127.0.0.1 over the wire gets nothing.
    with misled():
        options = ("--interface", STRANGER, "--max-time", "1")
        assert get("http://127.0.0.1:8081/", OUTSIDE, *options) == "curl ends 28"


@contextmanager
def misled() -> Iterator[None]:
    """The stranger sends 127.0.0.1 to the host instead of to itself."""
    rules = (
        ("pref", "0", "to", "127.0.0.1", "lookup", "100"),
        ("pref", "1", "lookup", "local"),
    )
    run("ip", "netns", "exec", OUTSIDE, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
    run("ip", "-n", OUTSIDE, "route", "replace", "127.0.0.0/8", "via", HOST, "table", "100")
    for rule in rules:
        run("ip", "-n", OUTSIDE, "rule", "add", *rule)
    run("ip", "-n", OUTSIDE, "rule", "del", "pref", "0", "lookup", "local")
    try:
        yield
    finally:
        run("ip", "-n", OUTSIDE, "rule", "add", "pref", "0", "lookup", "local")
        for rule in rules:
            run("ip", "-n", OUTSIDE, "rule", "del", *rule)


def test_P1_no_other_program_gets_the_port(daemon: Appliance) -> None:
    code = (
        "import socket; s = socket.socket();"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('', 8080)); s.listen()"
    )
    done = daemon.on_host(sys.executable, "-c", code, check=False)
    assert "Address already in use" in done.stderr


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_C89_C124_a_port_of_another_program_is_refused_and_nothing_is_left(
    daemon: Appliance, protocol: str
) -> None:
    asked = ("sandbox", "create", daemon.name("late"), "-p", f"8090:80/{protocol}")
    with listening(daemon, 8090, protocol) as pid:
        done = daemon.sdctl(*asked, check=False)
        assert done.returncode == 1
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        has_it = f"failed to bind host port 8090/{protocol}: {name} (pid {pid}) has it"
        assert has_it in done.stderr
        assert "[SDD-PUBLISH-TAKEN]" in done.stderr
        assert daemon.name("late") not in daemon.sdctl("sandbox", "ls", "-q", "-o", "name").stdout
    daemon.sdctl(*asked)
    daemon.sdctl("sandbox", "rm", daemon.name("late"))


@contextmanager
def listening(daemon: Appliance, port: int, protocol: str = "tcp") -> Iterator[int]:
    """Another program; its pid."""
    command = {
        "tcp": (sys.executable, "-m", "http.server", str(port)),
        "udp": ("socat", "-u", f"UDP-RECV:{port}", "STDOUT"),
    }[protocol]
    with subprocess.Popen(
        ["nsenter", f"--net=/run/netns/{daemon.host}", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as one:
        try:
            what = f"-Hl{protocol[0]}n"
            until(lambda: f":{port} " in daemon.on_host("ss", what).stdout, 60, "it listens")
            yield one.pid
        finally:
            one.kill()


def test_a_port_of_another_sandbox_is_refused_with_its_name(daemon: Appliance) -> None:
    done = daemon.sdctl("sandbox", "create", daemon.name("twin"), "-p", "8080:81", check=False)
    assert done.returncode == 1
    assert (
        f"port is already allocated: 8080/tcp is published by sandbox {daemon.name('web')}"
        in done.stderr
    )
    assert "[SDD-PUBLISH-INUSE]" in done.stderr


def test_C128_ls_and_inspect_speak_dockers_words(daemon: Appliance) -> None:
    (web,) = daemon.json("sandbox", "inspect", daemon.name("web"))
    assert web["Ports"] == {
        "80/tcp": [
            {"HostIp": "0.0.0.0", "HostPort": "8080"},
            {"HostIp": "::", "HostPort": "8080"},
            {"HostIp": "127.0.0.1", "HostPort": "8081"},
        ]
    }
    (line,) = (
        each for each in daemon.sdctl("sandbox", "ls").stdout.splitlines() if "-web " in each
    )
    assert line.endswith("0.0.0.0:8080->80/tcp, 127.0.0.1:8081->80/tcp, [::]:8080->80/tcp")


def test_P2_a_free_port_is_chosen_and_shown(daemon: Appliance) -> None:
    daemon.sandbox("auto", "--network", "front", "-p", "80")
    daemon.serve("auto")
    (auto,) = daemon.json("sandbox", "inspect", daemon.name("auto"))
    v4, v6 = auto["Ports"]["80/tcp"]
    assert v4["HostPort"] == v6["HostPort"]
    assert 30000 <= int(v4["HostPort"]) <= 32767
    assert "hello from auto" in get(f"http://{HOST}:{v4['HostPort']}/", OUTSIDE)
    daemon.sdctl("sandbox", "rm", daemon.name("auto"))
    assert get(f"http://{HOST}:{v4['HostPort']}/", OUTSIDE) == "curl ends 7"


def test_X17_a_thousand_ports_are_no_rule_and_no_process_more(daemon: Appliance) -> None:
    rules = daemon.on_host("nft", "list", "table", "inet", "sdd-ports").stdout.count(" comment ")
    daemon.sandbox("many", "--network", "front", "-p", "20000-20999:20000-20999")
    after = daemon.on_host("nft", "list", "table", "inet", "sdd-ports").stdout
    assert after.count(" comment ") == rules
    assert "tcp . 20999" in after
    listed = daemon.sdctl("sandbox", "ls").stdout
    assert "0.0.0.0:20000-20999->20000-20999/tcp" in listed
    daemon.sdctl("sandbox", "rm", daemon.name("many"))
    assert "tcp . 20999" not in daemon.on_host("nft", "list", "table", "inet", "sdd-ports").stdout


def test_U4_a_client_that_never_pauses_follows_the_port_to_its_new_owner(
    daemon: Appliance,
) -> None:
    for name in ("old", "new"):
        options = ("-p", "5300:53/udp") if name == "old" else ()
        daemon.sandbox(name, "--network", "front", *options)
        echo(daemon, name)
    assert ask(5300) == f"old {STRANGER}"
    daemon.sdctl("sandbox", "rm", daemon.name("old"))
    daemon.sdctl("sandbox", "rm", daemon.name("new"))
    daemon.sandbox("new", "--network", "front", "-p", "5300:53/udp")
    echo(daemon, "new")
    assert ask(5300) == f"new {STRANGER}"


def echo(daemon: Appliance, name: str) -> None:
    daemon.program(name, sys.executable, "-c", ECHO, "53", name)
    until(lambda: ":53 " in daemon.inside(name, "ss", "-Hlun").stdout, 60, "it listens")


def ask(port: int) -> str:
    command = ("ip", "netns", "exec", OUTSIDE, sys.executable, "-c", ASK, HOST, str(port), "20")
    return run(*command).stdout.strip()


def test_a_service_leads_to_all_healthy_members_and_keeps_the_clients_address(
    daemon: Appliance,
) -> None:
    check = ("--health", "tcp:80", "--health-interval", "0.2s", "--health-timeout", "10s")
    daemon.sdctl(
        *("service", "create", "shop", "--network", "front", "--scheduler", "rr"),
        *("--publish", "published=8443,target=80", *check),
    )
    servers = {}
    for name in ("shop1", "shop2"):
        daemon.sandbox(name, "--network", "front", "--service", "shop")
        servers[name] = daemon.serve(name)
    daemon.until_replicas("shop", "2/2", 60)
    assert visits(8443, 6) == {f"hello from {name}, you are {STRANGER}" for name in servers}
    servers["shop1"].kill()
    daemon.until_replicas("shop", "1/2", 60)
    assert visits(8443, 6) == {f"hello from shop2, you are {STRANGER}"}
    (row,) = (each for each in daemon.json("service", "ls") if each["Name"] == "shop")
    assert row["Ports"] == "*:8443->80/tcp"


def visits(port: int, count: int = 1) -> set[str]:
    return {get(f"http://{HOST}:{port}/", OUTSIDE).strip() for _ in range(count)}


def test_C122_an_update_moves_ports_and_a_removal_frees_them(daemon: Appliance) -> None:
    daemon.sdctl("service", "create", "kiosk", "--network", "front", "--publish", "8543:80")
    daemon.sandbox("kiosk1", "--network", "front", "--service", "kiosk")
    daemon.serve("kiosk1")
    assert visits(8543) == {f"hello from kiosk1, you are {STRANGER}"}
    add = "published=8544,target=80,policy=snat"
    daemon.sdctl("service", "update", "kiosk", "--publish-rm", "80/tcp", "--publish-add", add)
    assert visits(8543) == {"curl ends 7"}
    (host,) = daemon.json("network", "inspect", "gwbridge")
    gateway = host["IPAM"]["Config"][0]["Gateway"]
    assert visits(8544) == {f"hello from kiosk1, you are {gateway}"}
    daemon.sdctl("sandbox", "rm", daemon.name("kiosk1"))
    assert visits(8544) == {"curl ends 7"}  # nobody is left: refused, not lost
    daemon.sdctl("service", "rm", "kiosk")
    daemon.sandbox("heir", "--network", "front", "-p", "8543:80", "-p", "8544:80")
    daemon.sdctl("sandbox", "rm", daemon.name("heir"))


def test_rules_deleted_by_hand_come_back(daemon: Appliance) -> None:
    daemon.on_host("nft", "delete", "table", "inet", "sdd-ports")
    until(
        lambda: "hello from web" in get(f"http://{HOST}:8080/", OUTSIDE, "--max-time", "1"),
        60,
        "the port works again",
    )
    until(lambda: daemon.sdctl("verify", check=False).returncode == 0, 60, "all is well")


def test_kill_9_loses_nothing_and_the_ports_are_held_again(daemon: Appliance) -> None:
    command = ("ip", "netns", "exec", OUTSIDE, sys.executable, "-c", SLOW, HOST, "8080")
    with subprocess.Popen(
        command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "connected\n"
        daemon.kill()
        assert "hello from web" in get(f"http://{HOST}:8080/", OUTSIDE)
        daemon.start()
        answer, _ = client.communicate("go on\n", timeout=60)
    assert "hello from web" in answer
    assert re.search(r":8080\b", daemon.on_host("ss", "-Hltn").stdout)
    assert "hello from web" in get(f"http://{HOST}:8080/", OUTSIDE)
    assert daemon.sdctl("verify").returncode == 0


def test_the_last_port_takes_the_table_along() -> None:
    with appliance("lastport") as one:
        one.sdctl("sandbox", "create", one.name("only"), "-p", "8080:80")
        (net,) = one.json("network", "inspect", "bridge")
        knob = f"net.ipv4.conf.{net['Device']}.route_localnet"
        assert one.on_host("sysctl", "-n", knob).stdout.strip() == "1"
        one.sdctl("sandbox", "rm", one.name("only"))
        assert "sdd-ports" not in one.on_host("nft", "list", "tables").stdout
        assert one.on_host("sysctl", "-n", knob).stdout.strip() == "0"
        assert ":8080" not in one.on_host("ss", "-Hltn").stdout
