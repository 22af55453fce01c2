"""Each bad input of the issue gives its one sentence, code and exit status, and changes nothing."""

import json
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.e2e.appliance import BIN, Appliance, run


@pytest.fixture(scope="module", autouse=True)
def lab(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "lab", "--subnet", "10.80.0.0/24")
    daemon.sandbox("db", "--network", "lab,ip=10.80.0.9")
    daemon.sdctl("service", "create", "held", "--network", "lab", "-p", "5070:80")


def refused(daemon: Appliance, *args: str) -> tuple[int, str]:
    """Exit code and message of a command that must fail, print no data and change nothing."""
    before = daemon.sdctl("-o", "json", "network", "inspect", "lab", "bridge").stdout
    listed = everything(daemon)
    done = daemon.sdctl(*args, check=False)
    assert done.returncode != 0, done.stdout
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3, done.stderr
    assert daemon.sdctl("-o", "json", "network", "inspect", "lab", "bridge").stdout == before
    assert everything(daemon) == listed
    return done.returncode, done.stderr


def everything(daemon: Appliance) -> str:
    """All that is listed, and each service with all it has."""
    listed = [daemon.sdctl("-q", each, "ls").stdout for each in ("network", "sandbox")]
    services = daemon.sdctl("-q", "service", "ls").stdout.split()
    return "".join(listed) + daemon.sdctl("service", "inspect", *services).stdout


CASES: Sequence[tuple[tuple[str, ...], int, tuple[str, ...]]] = (
    (("network", "inspect", "nowhere"), 1, ("nowhere", "[SDD-NET-NOTFOUND]")),
    (("network", "create", "lab"), 1, ("lab", "already exists")),
    (
        ("network", "create", "n1", "--subnet", "10.80.0.0/16"),
        1,
        ("lab", "10.80.0.0/24", "[SDD-NET-OVERLAP]"),
    ),
    (("network", "create", "n1", "--subnet", "10.81.0.0/33"), 2, ("10.81.0.0/33",)),
    (
        ("network", "create", "n1", "--subnet", "10.81.0.1/24"),
        1,
        ("n1", "10.81.0.1/24", "use 10.81.0.0/24", "[SDD-NET-SUBNET]"),
    ),
    (("network", "create", "n1", "--subnet", "10.81.0.1/32"), 1, ("n1", "10.81.0.1/32", "/31")),
    (
        ("network", "create", "n1", "--subnet", "10.81.0.0/24", "--gateway", "10.82.0.1"),
        1,
        ("10.82.0.1",),
    ),
    (("network", "create", "n1", "-d", "vxlan9"), 2, ("vxlan9",)),
    (("network", "create", "n1", "-d", "overlay"), 1, ("overlay", "bridge")),
    (("network", "rm", "bridge"), 1, ("is a pre-defined network and cannot be removed",)),
    (("network", "rm", "lab"), 1, ("has active endpoints", "db")),
    (("network", "disconnect", "bridge", "{db}"), 1, ("bridge", "db")),
    (("network", "connect", "lab", "{db}"), 1, ("lab", "db")),
    (("sandbox", "create", "{x}", "--network", "nowhere"), 1, ("nowhere",)),
    (("sandbox", "create", "{db}"), 1, ("already",)),
    (
        ("sandbox", "create", "{x}", "--network", "lab,ip=10.80.0.9"),
        1,
        ("10.80.0.9", "db"),
    ),
    (
        ("sandbox", "create", "{x}", "--network", "lab,ip=10.99.0.9"),
        1,
        ("10.99.0.9", "10.80.0.0/24"),
    ),
    (("sandbox", "create", "../evil"), 1, ("../evil",)),
    (("sandbox", "attach", "{x}", "--pid", "99999999"), 1, ("99999999",)),
    (("sandbox", "attach", "{x}", "--netns", "/etc/passwd"), 1, ("/etc/passwd",)),
    (("sandbox", "create", "{x}", "--add-host", "a b:10.0.0.1"), 2, ("a b",)),
    (("service", "create", "s", "--network", "bridge"), 1, ("bridge",)),
    (("service", "create", "s", "--network", "lab", "--vip", "10.99.0.1"), 1, ("10.99.0.1",)),
    (("service", "create", "s", "--network", "lab", "--vip", "10.80.0.9"), 1, ("10.80.0.9", "db")),
    (
        ("service", "create", "s", "--network", "lab", "--vip", "10.80.0.1"),
        1,
        ("10.80.0.1", "gateway", "[SDD-IPAM-INUSE]"),
    ),
    (
        ("service", "create", "s", "--network", "lab", "--scheduler", "best"),
        1,
        ("no scheduler 'best', it offers: ", "mh", "wrr", "[SDD-LB-SCHEDULER]"),
    ),
    (
        ("service", "update", "held", "--scheduler", "best"),
        1,
        ("no scheduler 'best', it offers: ", "mh", "wrr", "[SDD-LB-SCHEDULER]"),
    ),
    (("service", "create", "s", "--network", "lab", "--health", "tcp:0"), 2, ("tcp:0",)),
    (("service", "create", "s", "--network", "lab", "--health", "ftp://:80/"), 2, ("ftp",)),
    (("service", "create", "s", "--network", "lab", "--health", "http://:x/"), 2, ("http://:x/",)),
    (("service", "create", "s", "--network", "lab", "--weight", "65536"), 2, ("65536", "65535")),
    (("service", "create", "s", "--network", "lab", "--weight", "-1"), 2, ("-1",)),
    (("service", "join", "held", "{db}", "--weight", "70000"), 2, ("70000", "65535")),
    (("service", "set-weight", "held", "{db}", "70000"), 2, ("70000", "65535")),
    (
        ("service", "create", "s", "--network", "lab", "-p", "5070:81"),
        1,
        ("5070/tcp", "service held", "[SDD-PUBLISH-INUSE]"),
    ),
    (
        ("service", "create", "s", "--network", "lab", "-p", "published=5000, target=80"),
        2,
        ("published=5000, target=80", "blank"),
    ),
    (
        ("service", "create", "s", "--network", "lab", "--slow-start", "1m", "--scheduler", "lc"),
        1,
        ("lc does not share by weight", "[SDD-SERVICE-SLOWSTART]"),
    ),
    (("service", "inspect", "nothing"), 1, ("nothing",)),
    (("netwrok", "ls"), 2, ("network",)),
)


@pytest.mark.parametrize(("args", "code", "words"), CASES, ids=[" ".join(c[0]) for c in CASES])
def test_refused(
    daemon: Appliance, args: tuple[str, ...], code: int, words: tuple[str, ...]
) -> None:
    names = {"db": daemon.name("db"), "x": daemon.name("x")}
    got, text = refused(daemon, *(each.format(**names) for each in args))
    for word in words:
        assert word in text, text
    assert got == code, text


@pytest.mark.parametrize(
    ("line", "body", "answer", "words"),
    [
        ("POST /v1/networks", '{"name":"a","name":"b"}', (400, "SDD-API-JSON"), '"name" stands'),
        ("POST /v1/networks", '{"name":"\\ud800"}', (400, "SDD-API-JSON"), "surrogate"),
        ("POST /v1/networks", '{"name":"a\\u0000"}', (400, "SDD-API-JSON"), "NUL"),
        ("POST /v1/networks", "{", (400, "SDD-API-JSON"), "line 1, column 2"),
        ("POST /v1/networks", '{"nmae":"a"}', (400, "SDD-API-BODY"), '"nmae" is not known'),
        ("POST /v1/networks", '{"name":7}', (400, "SDD-API-BODY"), '"name" must be a text'),
        ("POST /v1/networks", '{"name":"a b"}', (400, "SDD-NET-NAME"), "'a b'"),
        ("PUT /v1/networks", "", (405, "SDD-API-METHOD"), "only GET, POST"),
        ("GET /v1/network", "", (404, "SDD-API-PATH"), "/v1/network"),
    ],
)
def test_the_api_says_in_our_words_what_is_wrong_and_what_to_do(
    daemon: Appliance, line: str, body: str, answer: tuple[int, str], words: str
) -> None:
    method, path = line.split()
    socket_path = daemon.url.removeprefix("unix://")
    data = ("--data-binary", body) if body else ()
    listed = daemon.sdctl("-q", "network", "ls").stdout
    done = run(
        *("curl", "-si", "--unix-socket", socket_path, "-X", method, f"http://sdd{path}"), *data
    )
    head, _, text = done.stdout.replace("\r\n", "\n").partition("\n\n")
    problem = json.loads(text)
    assert (int(head.split()[1]), problem["status"], problem["code"]) == (answer[0], *answer)
    assert words in problem["error"]
    assert problem["hint"]
    assert ("Allow: GET, POST" in head) == (answer[0] == 405)
    assert daemon.sdctl("-q", "network", "ls").stdout == listed


def test_what_is_too_long_or_too_many_is_refused_briefly(daemon: Appliance) -> None:
    labels = [word for number in range(129) for word in ("--label", f"k{number}=v")]
    for args, code in (
        (("network", "create", "n" * 3000), "[SDD-NET-NAME]"),
        (("network", "inspect", "n" * 3000), "[SDD-NET-NOTFOUND]"),
        (("network", "create", "n1", *labels), "[SDD-BOUND]"),
        (("network", "create", "n1", "--label", f"{'k' * 318}=v"), "[SDD-BOUND]"),
        (("network", "create", "n1", *["--dns", "10.0.0.1"] * 33), "[SDD-BOUND]"),
    ):
        status, text = refused(daemon, *args)
        assert (status, code in text) == (1, True), text
        assert len(text) < 500


def test_a_slow_client_holds_nobody_up(daemon: Appliance) -> None:
    slow = []
    for _ in range(100):
        link = socket.socket(socket.AF_UNIX)
        link.connect(daemon.url.removeprefix("unix://"))
        link.send(b"POST /v1/networks HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
        slow.append(link)
    assert daemon.sdctl("network", "inspect", "lab").returncode == 0
    for link in slow:
        link.close()


def test_no_daemon_is_exit_69_and_says_how_to_start_it() -> None:
    done = run(
        str(BIN / "sdctl"), "-H", "unix:///run/nobody/sdd.sock", "network", "ls", check=False
    )
    assert done.returncode == 69
    assert "/run/nobody/sdd.sock" in done.stderr
    assert "systemctl start sdd" in done.stderr


AS_NOBODY = """
import os, sys
import http.client, json, sdd.client, sdd.cli, sdd.cli.network
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.argv = ["sdctl", "-H", sys.argv[1], "network", "ls"]
sdd.cli.main()
"""


def test_no_permission_is_exit_77(daemon: Appliance) -> None:
    done = run(sys.executable, "-c", AS_NOBODY, daemon.url, check=False)
    assert done.returncode == 77, done.stderr
    assert "permission denied" in done.stderr


# Imports first: nobody may not read every place where Python can be installed.
DAEMON_AS_NOBODY = """
import os, sys
import sdd.app
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.argv[0] = "sdd"
sdd.app.main()
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """Anybody's: another run of pytest closes the folder of all temporary ones again."""
    with tempfile.TemporaryDirectory(dir="/run") as folder:
        made = Path(folder, "anybody's")
        made.mkdir()
        for each in (made.parent, made):
            each.chmod(0o777)
        yield made


def test_a_daemon_without_privileges_says_so_and_writes_nothing(place: Path) -> None:
    roots = ("--data-root", f"{place}/data", "--exec-root", f"{place}/exec")
    done = run(sys.executable, "-c", DAEMON_AS_NOBODY, *roots, check=False)
    assert done.returncode == 77, done.stderr
    first, hint = done.stderr.splitlines()
    assert "[SDD-PRIVILEGE]" in first
    assert "CAP_NET_ADMIN and CAP_SYS_ADMIN" in first
    assert "root" in hint
    assert list(place.iterdir()) == []


def exchange(daemon: Appliance, payload: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(60)
        link.connect(daemon.url.removeprefix("unix://"))
        link.sendall(payload)
        link.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: link.recv(65536), b""))


def post(body: bytes) -> bytes:
    head = f"POST /v1/networks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"name":7}', b'{"name":"x","colour":"red"}', b"\xff\xfe", b""]
)
def test_malformed_json_is_a_400_with_a_code(daemon: Appliance, body: bytes) -> None:
    reply = exchange(daemon, post(body))
    head, _, text = reply.partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert json.loads(text)["code"].startswith("SDD-API")


def test_hostile_dns_packets_never_stop_the_server(daemon: Appliance) -> None:
    script = (
        "import os,random,socket\n"
        "r=random.Random(7)\n"
        "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
        "for n in range(20000):\n"
        "    s.sendto(r.randbytes(r.randrange(0,200)),('127.0.0.11',53))\n"
        "for payload in (b'',b'\\0',b'\\0\\1',b'\\xff\\xff'+b'a'*100,b'\\0\\x0c'+b'\\xc0'*12):\n"
        "    t=socket.create_connection(('127.0.0.11',53),60); t.sendall(payload); t.close()\n"
    )
    daemon.inside("db", "python3", "-c", script)
    assert daemon.inside("db", "getent", "ahostsv4", "db").returncode == 0
    assert "Traceback" not in daemon.log()
