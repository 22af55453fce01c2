"""The real server on a unix socket: routes, permissions, strict bodies, errors without traceback."""

import asyncio
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sdd import errors
from sdd.api import peercred
from sdd.api.call import Access
from sdd.api.server import MAX_BODY_BYTES, serve, serve_metrics
from sdd.model.difference import Difference
from sdd.model.ids import Revision
from sdd.model.progress import EVERYTHING, Backend, Failure, Outcome
from tests.unit.sdd.api.appliance import Appliance, served
from tests.unit.sdd.api.names import Answer


async def raw(path: Path, payload: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(payload)
    writer.write_eof()
    reply = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    return reply


async def ask(path: Path, method: str, url: str, body: Any = None) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    head = f"{method} {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n"
    reply = await raw(path, head.encode() + data)
    first, _, rest = reply.partition(b"\r\n\r\n")
    status = int(first.split()[1])
    return status, json.loads(rest) if b"application/json" in first else rest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sdd.sock"


async def test_a_network_lives_from_create_to_remove(path: Path) -> None:
    async with served(Appliance(), path):
        status, made = await ask(
            path,
            "POST",
            "/v1/networks",
            {
                "name": "lab",
                "pools": [{"subnet": "10.1.0.0/24", "aux": {"printer": "10.1.0.9"}}],
                "labels": {"a": "b"},
            },
        )
        assert status == 201
        assert made["IPAM"]["Config"] == [
            {
                "Subnet": "10.1.0.0/24",
                "Gateway": "10.1.0.1",
                "AuxiliaryAddresses": {"printer": "10.1.0.9"},
            }
        ]
        assert (await ask(path, "GET", "/v1/networks/lab")) == (200, made)
        assert (await ask(path, "GET", f"/v1/networks/{made['Id'][:8]}"))[1] == made
        assert (await ask(path, "GET", "/v1/networks"))[1] == [made]
        gone = await ask(path, "DELETE", "/v1/networks/lab")
        assert gone == (200, {"Id": made["Id"], "Name": "lab"})
        status, problem = await ask(path, "GET", "/v1/networks/lab")
        assert (status, problem["code"], problem["exit"]) == (404, "SDD-NET-NOTFOUND", 1)


async def test_sandboxes_connect_and_disconnect(path: Path) -> None:
    async with served(Appliance(), path):
        for name in ("one", "two"):
            await ask(path, "POST", "/v1/networks", {"name": name})
        status, box = await ask(
            path,
            "POST",
            "/v1/sandboxes",
            {
                "name": "web1",
                "attachments": [{"network": "one", "aliases": ["w"]}],
                "dns": {"servers": ["10.0.0.53"]},
                "extra_hosts": [{"name": "printer", "address": "10.0.0.7"}],
            },
        )
        assert status == 201
        assert box["Networks"]["one"]["Aliases"] == ["w"]
        assert box["Networks"]["one"]["IPPrefixLen"] == 24
        assert box["Dns"]["Servers"] == ["10.0.0.53"]
        assert box["ExtraHosts"] == ["printer:10.0.0.7"]
        assert box["ResolvConfPath"] == f"/var/lib/sdd/sandboxes/{box['Id']}/resolv.conf"
        body = {"sandbox": "web1", "ip": "10.201.0.77"}
        assert (await ask(path, "POST", "/v1/networks/two/connect", body))[0] == 201
        (two,) = [n for n in (await ask(path, "GET", "/v1/networks"))[1] if n["Name"] == "two"]
        assert two["Containers"][box["Id"]]["IPv4Address"] == "10.201.0.77/24"
        assert (await ask(path, "POST", "/v1/networks/two/disconnect", {"sandbox": "web1"}))[
            0
        ] == 200
        assert list((await ask(path, "GET", "/v1/sandboxes/web1"))[1]["Networks"]) == ["one"]
        assert (await ask(path, "DELETE", "/v1/sandboxes/web1"))[0] == 200
        assert (await ask(path, "GET", "/v1/sandboxes"))[1] == []


async def test_services_and_their_members(path: Path) -> None:
    async with served(Appliance(), path):
        await ask(path, "POST", "/v1/networks", {"name": "lab"})
        body = {"name": "w1", "attachments": [{"network": "lab"}]}
        await ask(path, "POST", "/v1/sandboxes", body)
        status, made = await ask(
            path,
            "POST",
            "/v1/services",
            {
                "name": "web",
                "network": "lab",
                "scheduler": "rr",
                "health": {"kind": "tcp", "port": 80, "interval_s": 0.5},
            },
        )
        assert status == 201
        assert made["Health"] | {"Kind": "tcp", "Port": 80, "Interval": 0.5} == made["Health"]
        assert (await ask(path, "POST", "/v1/services/web/members", {"sandbox": "w1"}))[0] == 201
        ((row),) = (await ask(path, "GET", "/v1/services"))[1]
        assert (row["Replicas"], row["VIP"]) == ("0/1", made["VIPs"][0])
        (member,) = (await ask(path, "GET", "/v1/services/web/members"))[1]
        assert (member["Sandbox"], member["State"], member["Weight"]) == ("w1", "starting", 1)
        changed = await ask(path, "PATCH", "/v1/services/web/members/w1", {"weight": 7})
        assert (changed[0], changed[1]["Weight"]) == (200, 7)
        assert (await ask(path, "DELETE", "/v1/services/web/members/w1"))[0] == 200
        assert (await ask(path, "DELETE", "/v1/services/web"))[0] == 200


async def test_a_question_is_asked_from_the_sandbox(path: Path) -> None:
    one = Appliance()
    one.resolver.names["web", "A"] = Answer(answers=(("web.", 5, "A", "10.0.0.2"),))
    async with served(one, path):
        await ask(path, "POST", "/v1/sandboxes", {"name": "c"})
        status, found = await ask(path, "GET", "/v1/dns/query?name=web&from=c&tcp=true")
        assert status == 200
        assert found["Answers"] == [{"Name": "web.", "TTL": 5, "Type": "A", "Data": "10.0.0.2"}]
        assert one.resolver.asked == [("/run/sdd/netns/c", "web", "A", True)]
        for query in ("name=web", "from=c", "name=web&from=c&tcp=maybe", "name=w&from=c&timeout=x"):
            status, problem = await ask(path, "GET", f"/v1/dns/query?{query}")
            assert (status, problem["code"]) == (400, "SDD-API-QUERY"), query


async def test_the_kernels_rows_carry_their_sandbox(path: Path) -> None:
    one = Appliance()
    one.rows = {"a": ["web"], "b": ["db", "web"]}
    async with served(one, path):
        for name in ("a", "b"):
            await ask(path, "POST", "/v1/sandboxes", {"name": name})
        rows = (await ask(path, "GET", "/v1/lb"))[1]
        assert [(row["Sandbox"], row["Service"]) for row in rows] == [
            ("a", "web"),
            ("b", "db"),
            ("b", "web"),
        ]
        assert [r["Sandbox"] for r in (await ask(path, "GET", "/v1/lb?from=a"))[1]] == ["a"]


WHOLE = b"resolver: the DNS worker hung up\n"


async def test_ready_only_after_every_backend_made_a_pass(path: Path) -> None:
    one = Appliance()
    async with served(one, path):
        assert (await ask(path, "GET", "/healthz")) == (200, b"ok\n")
        status, text = await ask(path, "GET", "/readyz")
        assert status == 503
        assert b"netns, lb, ports, resolver" in text
        assert (await ask(path, "GET", "/v1/status"))[1]["State"] == "starting"
        one.desk.realised()
        assert (await ask(path, "GET", "/readyz"))[0] == 200
        assert (await ask(path, "GET", "/v1/status"))[1]["State"] == "ready"
        assert (await ask(path, "GET", "/v1/version"))[1]["Version"] == "0.0-test"
        whole = Failure(subject=EVERYTHING, sentence="the DNS worker hung up")
        part = Failure(subject="abc", sentence="one sandbox has none")
        for failures, expected in (((part,), (200, b"ok\n")), ((part, whole), (503, WHOLE))):
            one.desk.outcomes[Backend.RESOLVER] = Outcome(revision=Revision(1), failures=failures)
            assert (await ask(path, "GET", "/readyz")) == expected
            assert (await ask(path, "GET", "/v1/status"))[1]["State"] == "degraded"


@pytest.mark.parametrize(
    ("method", "url", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "SDD-API-PATH"),
        ("GET", "/", 404, "SDD-API-PATH"),
        ("GET", "/v1/networks/", 404, "SDD-API-PATH"),
        ("PUT", "/v1/networks", 405, "SDD-API-METHOD"),
        ("POST", "/healthz", 405, "SDD-API-METHOD"),
        ("DELETE", "/v1/networks/a%2Fb", 404, "SDD-NET-NOTFOUND"),
    ],
)
async def test_wrong_paths_and_methods(
    path: Path, method: str, url: str, status: int, code: str
) -> None:
    async with served(Appliance(), path):
        got, problem = await ask(path, method, url)
        assert (got, problem["code"]) == (status, code)


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"name":7}', b'{"name":"x","colour":"red"}', b"\xff\xfe", b"", b"null"]
)
async def test_a_wrong_body_is_400_and_changes_nothing(path: Path, body: bytes) -> None:
    one = Appliance()
    async with served(one, path):
        status, problem = await ask(path, "POST", "/v1/networks", body)
        assert status == 400
        assert problem["code"].startswith("SDD-API-")
    assert one.desk.state.revision == 0


async def test_A8_101_a_huge_body_is_413(path: Path) -> None:
    async with served(Appliance(), path):
        body = b'{"name":"' + b"x" * MAX_BODY_BYTES + b'"}'
        status, problem = await ask(path, "POST", "/v1/networks", body)
        assert (status, problem["code"]) == (413, "SDD-API-LARGE")


@pytest.mark.parametrize(
    "payload",
    [
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/networks HTTP/1.1\r\nContent-Length: nope\r\n\r\n",
        b"POST /v1/networks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n",
    ],
)
async def test_broken_http_is_answered_without_a_traceback(
    path: Path, payload: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    async with served(Appliance(), path):
        reply = await raw(path, payload)
        assert reply.split()[1] == b"400", reply
        assert b'"code":"SDD-API-HTTP"' in reply
        assert (await ask(path, "GET", "/healthz"))[0] == 200
    assert "Traceback" not in "".join(capfd.readouterr())


async def test_an_error_of_ours_keeps_sentence_hint_code_and_exit(path: Path) -> None:
    one = Appliance()
    one.desk.break_with = errors.TimedOut("netns did not answer", hint="wait", code="SDD-TIMEOUT")
    async with served(one, path):
        assert await ask(path, "POST", "/v1/networks", {"name": "x"}) == (
            504,
            {
                "error": "netns did not answer",
                "hint": "wait",
                "code": "SDD-TIMEOUT",
                "status": 504,
                "exit": 124,
            },
        )


async def test_the_socket_opens_for_owner_and_group_only(path: Path) -> None:
    async with served(Appliance(), path):
        assert path.stat().st_mode & 0o777 == 0o660
    assert not path.exists()


async def test_a_second_server_is_refused_and_a_dead_socket_replaced(path: Path) -> None:
    async with served(Appliance(), path):
        with pytest.raises(errors.Conflict, match="already answers"):
            await serve(Appliance().context, [f"unix://{path}"])
        assert (await ask(path, "GET", "/healthz"))[0] == 200
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    async with served(Appliance(), path):
        assert (await ask(path, "GET", "/healthz"))[0] == 200


async def test_a_bad_place_for_the_socket_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for bad in (f"{tmp_path}/file", f"{tmp_path}/file/x.sock", f"{tmp_path}/{'x' * 120}"):
        with pytest.raises(errors.Invalid) as caught:
            await serve(Appliance().context, [f"unix://{bad}"])
        assert caught.value.code == "SDD-API-SOCKET"


@pytest.mark.parametrize("by_path", [True, False])
async def test_sockets_of_systemd_are_served_and_left_to_it(tmp_path: Path, by_path: bool) -> None:
    link = socket.socket(socket.AF_UNIX)
    link.bind(str(tmp_path / "s"))
    link.listen()
    urls = [f"unix://{tmp_path}/s"] if by_path else ["fd://"]
    server = await serve(Appliance().context, urls, [link])
    assert (await ask(tmp_path / "s", "GET", "/healthz"))[0] == 200
    await server.close()
    assert (tmp_path / "s").exists()
    with pytest.raises(errors.Invalid, match="fd://"):
        await serve(Appliance().context, ["fd://"])


async def test_metrics_over_tcp_has_no_commands() -> None:
    one = Appliance()
    server = await serve_metrics(one.context, "127.0.0.1", 0)
    try:
        for url, status in (("/metrics", 200), ("/healthz", 200), ("/v1/networks", 404)):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(f"GET {url} HTTP/1.0\r\n\r\n".encode())
            reply = await reader.read()
            writer.close()
            assert int(reply.split()[1]) == status
            if url == "/metrics":
                assert b'sdd_build_info{python="' in reply
        with pytest.raises(errors.Conflict, match=f"127.0.0.1:{server.port}: .* in use by nginx"):
            await serve_metrics(one.context, "127.0.0.1", server.port, lambda *_: "nginx (pid 7)")
    finally:
        await server.close()


async def test_commands_are_timed_by_action_and_result(path: Path) -> None:
    async with served(Appliance(), path):
        await ask(path, "POST", "/v1/networks", {"name": "x"})
        await ask(path, "POST", "/v1/networks", {"name": "x"})
        page = (await ask(path, "GET", "/metrics"))[1].decode()
    name = "sdd_command_duration_seconds_count"
    assert f'{name}{{action="network_create",result="ok"}} 1.0' in page
    assert f'{name}{{action="network_create",result="SDD-NET-EXISTS"}} 1.0' in page
    assert 'sdd_networks{driver="bridge"} 1.0' in page


def test_admins_are_root_and_the_group() -> None:
    admins = peercred.Admins(uids=frozenset({0}), gid=77)
    rows = [(0, {0}, Access.ADMIN), (5, {77}, Access.ADMIN), (5, {5, 77}, Access.ADMIN)]
    rows += [(5, {5}, Access.READ)]
    for uid, gids, access in rows:
        peer = peercred.Peer(pid=1, uid=uid, gids=frozenset(gids))
        assert admins.access(peer) is access
    nobody = peercred.Admins(uids=frozenset({0}), gid=None)
    assert nobody.access(peercred.Peer(pid=1, uid=5, gids=frozenset({5}))) is Access.READ


async def test_a_peer_without_the_right_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strangers = peercred.Admins(uids=frozenset(), gid=None)
    monkeypatch.setattr(peercred, "admins", lambda: strangers)
    one = Appliance()
    async with served(one, path):
        status, problem = await ask(path, "POST", "/v1/networks", {"name": "x"})
        assert (status, problem["code"], problem["exit"]) == (403, "SDD-API-DENIED", 77)
        assert (await ask(path, "GET", "/v1/networks"))[0] == 200
    assert one.desk.state.revision == 0


def test_the_kernel_tells_who_the_peer_is() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = peercred.of(ours)
    import os

    assert (peer.pid, peer.uid) == (os.getpid(), os.getuid())
    assert os.getgid() in peer.gids


@pytest.mark.parametrize(("patience_s", "answered"), [(600.0, True), (0.0, False)])
async def test_a_request_under_way_has_its_time_at_the_end(
    path: Path, patience_s: float, answered: bool
) -> None:
    one = Appliance()
    began, may_end = asyncio.Event(), asyncio.Event()

    async def checked() -> Sequence[Difference]:
        began.set()
        await may_end.wait()
        return ()

    one.checks = checked
    server = await serve(one.context, [f"unix://{path}"], shutdown_s=patience_s)
    async with asyncio.TaskGroup() as tasks:
        request = raw(path, b"GET /v1/verify HTTP/1.1\r\nHost: x\r\n\r\n")
        asked = tasks.create_task(request, name="client")
        await asyncio.wait_for(began.wait(), 60)
        closing = tasks.create_task(server.close(), name="close")
        if not answered:
            await asyncio.wait_for(closing, 60)
        may_end.set()
    assert asked.result().startswith(b"HTTP/1.1 200") is answered
