"""What strangers may write to the socket, byte by byte: one answer in our words, nothing held up."""

import json
from pathlib import Path

import pytest

from sdd.api.server import MAX_BODY_BYTES
from tests.unit.sdd.api.appliance import Appliance, served
from tests.unit.sdd.api.test_server import raw

HOST = b"Host: x\r\nConnection: close\r\n"
BODY = b'{"name":"x"}'
POST = b"POST /v1/networks HTTP/1.1\r\n" + HOST
GET = b"GET /v1/status HTTP/1.1\r\n" + HOST
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


def asked(line: bytes) -> bytes:
    return line + b" HTTP/1.1\r\n" + HOST + b"\r\n"


BROKEN = {
    "bad length": (POST + b"Content-Length: nope\r\n\r\n", "its Content-Length is no number"),
    "negative length": (POST + b"Content-Length: -1\r\n\r\n", "its Content-Length is no number"),
    "no length": (POST + b"\r\n" + BODY, "perhaps a Content-Length is missing"),
    "two lengths": (
        POST + b"Content-Length: 12\r\nContent-Length: 13\r\n\r\n" + BODY,
        "more than one Content-Length",
    ),
    "the same length twice": (
        POST + b"Content-Length: 12\r\nContent-Length: 12\r\n\r\n" + BODY,
        "more than one Content-Length",
    ),
    "length and chunks": (
        POST + b"Content-Length: 12\r\n" + CHUNKED + b"\r\nc\r\n" + BODY + b"\r\n0\r\n\r\n",
        "both a Content-Length and chunks",
    ),
    "a bad chunk": (POST + CHUNKED + b"\r\nzz\r\n", "the size of a chunk is no number"),
    "another coding": (POST + b"Transfer-Encoding: gzip\r\n\r\n", "other than chunked"),
    "a packed body": (
        POST + b"Content-Encoding: gzip\r\nContent-Length: 12\r\n\r\n" + BODY,
        "packed with 'gzip'",
    ),
    "a long header": (GET + b"X: " + b"a" * 102_400 + b"\r\n\r\n", "longer than 8190 bytes"),
    "a long line": (asked(b"GET /" + b"a" * 102_400), "longer than 8190 bytes"),
    "many headers": (GET + b"X: a\r\n" * 1000 + b"\r\n", "more than 128 headers"),
    "an unknown method": (asked(b"FOO /v1/status"), "a method of HTTP"),
    "a small method": (asked(b"get /v1/status"), "a method of HTTP"),
    "a raw byte": (asked(b"GET /v1/networks/\xff"), "its path cannot be read"),
    "a raw NUL": (asked(b"GET /v1/networks/\x00"), "its path cannot be read"),
    "a blank in a header": (GET + b"X y: 1\r\n\r\n", "one of its headers cannot be read"),
    "a control character": (GET + b"X: \x01\r\n\r\n", "one of its headers cannot be read"),
    "no host": (b"GET /v1/status HTTP/1.1\r\n\r\n", "the Host header is missing"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2 is not spoken here"),
    "HTTP/9.9": (b"GET / HTTP/9.9\r\n\r\n", "its first line is not METHOD PATH HTTP/1.1"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01", "a method of HTTP"),
    "a body cut short": (POST + b"Content-Length: 99\r\n\r\n" + BODY, "ended early"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_what_is_no_http_is_told_in_our_words(
    path: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    payload, words = BROKEN[case]
    one = Appliance()
    async with served(one, path):
        head, _, body = (await raw(path, payload)).partition(b"\r\n\r\n")
    problem = json.loads(body)
    assert head.split()[1] == b"400"
    assert problem["code"] == "SDD-API-HTTP"
    assert words in problem["error"]
    assert "curl --unix-socket" in problem["hint"]
    assert one.desk.state.revision == 0
    assert "Traceback" not in "".join(capfd.readouterr())


async def test_a_line_without_version_is_told_so_in_http_1_1(path: Path) -> None:
    async with served(Appliance(), path):
        for line in (b"GET /v1/status\r\n\r\n", b"GET /v1/status HTTP/0.9\r\n\r\n"):
            head, _, body = (await raw(path, line)).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400 ")
            assert json.loads(body)["code"] == "SDD-API-HTTP"


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        (b"GET /v1/status HTTP/1.0\r\n\r\n", 200),
        (asked(b"GET http://sdd/v1/version"), 200),
        (POST + CHUNKED + b"\r\nc\r\n" + BODY + b"\r\n0\r\n\r\n", 201),
        (
            POST + CHUNKED + b"\r\n6\r\n" + BODY[:6] + b"\r\n6\r\n" + BODY[6:] + b"\r\n0\r\n\r\n",
            201,
        ),
        (b"POST /v1/networks HTTP/1.0\r\nContent-Length: 12\r\n\r\n" + BODY, 201),
    ],
)
async def test_unusual_http_is_answered(path: Path, payload: bytes, status: int) -> None:
    async with served(Appliance(), path):
        assert int((await raw(path, payload)).split()[1]) == status


@pytest.mark.parametrize(
    ("line", "answer", "words", "hint"),
    [
        (b"GET /v1/networks/%00", (404, "SDD-NET-NOTFOUND"), r"'\x00'", "network ls"),
        (b"GET /v1/networks/a%2Fb", (404, "SDD-NET-NOTFOUND"), "'a/b'", "network ls"),
        (b"DELETE /v1/networks/a%0Ab", (404, "SDD-NET-NOTFOUND"), r"'a\nb'", "network ls"),
        (b"GET /v1/networks/%ff", (404, "SDD-NET-NOTFOUND"), "not found", "network ls"),
        (b"GET /v1/networks/" + b"n" * 5000, (404, "SDD-NET-NOTFOUND"), "(5000 characters)", ""),
        (b"GET /v1/network", (404, "SDD-API-PATH"), "/v1/network", "did you mean /v1/networks?"),
        (b"GET /" + b"a" * 5000, (404, "SDD-API-PATH"), "(5001 characters)", "/v1/openapi.json"),
        (b"OPTIONS *", (404, "SDD-API-PATH"), "*", "/v1/openapi.json"),
        (b"PUT /v1/networks", (405, "SDD-API-METHOD"), "only GET, POST", "/v1/openapi.json"),
        (b"GET /v1/dns/query?from=a&from=b", (400, "SDD-API-QUERY"), "'from' twice", "once"),
        (b"GET /v1/networks?filters=zz", (400, "SDD-API-QUERY"), "no 'filters'", "it has none"),
        (b"DELETE /v1/networks/x?forse=1", (400, "SDD-API-QUERY"), "no 'forse'", "it has none"),
        (
            b"GET /v1/lb?rate=true",
            (400, "SDD-API-QUERY"),
            "GET /v1/lb has no 'rate'",
            "mean rates?",
        ),
        (b"GET /v1/dns/query?name=a", (400, "SDD-API-QUERY"), '"from"', "?from="),
    ],
)
async def test_what_a_path_says_is_quoted_briefly(
    path: Path, line: bytes, answer: tuple[int, str], words: str, hint: str
) -> None:
    async with served(Appliance(), path):
        head, _, body = (await raw(path, asked(line))).partition(b"\r\n\r\n")
    problem = json.loads(body)
    assert (int(head.split()[1]), problem["code"]) == answer
    assert words in problem["error"]
    assert hint in problem["hint"]
    assert problem["hint"]
    assert len(body) < 500
    assert (b"Allow: GET, POST" in head) == (answer[0] == 405)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_beyond_the_bound_says_so(path: Path, chunked: bool) -> None:
    size = MAX_BODY_BYTES + 1
    head = CHUNKED + b"\r\n%x\r\n" % size if chunked else b"Content-Length: %d\r\n\r\n" % size
    end = b"\r\n0\r\n\r\n" if chunked else b""
    async with served(Appliance(), path):
        reply = await raw(path, POST + head + b"x" * size + end)
    problem = json.loads(reply.partition(b"\r\n\r\n")[2])
    assert (problem["status"], problem["code"]) == (413, "SDD-API-LARGE")
    assert problem["hint"]


async def test_an_announced_body_beyond_the_bound_is_not_waited_for(path: Path) -> None:
    async with served(Appliance(), path):
        reply = await raw(path, POST + b"Content-Length: 99999999\r\n\r\n")
    assert reply.split()[1] == b"413"


async def test_every_error_of_the_door_says_what_to_do(path: Path) -> None:
    bodies = (b"", b"{", b"[]", b"{}", b'{"name":"a","name":"b"}', b'{"name":"\\ud800"}')
    async with served(Appliance(), path):
        for data in bodies:
            reply = await raw(path, POST + b"Content-Length: %d\r\n\r\n" % len(data) + data)
            problem = json.loads(reply.partition(b"\r\n\r\n")[2])
            assert problem["status"] == 400
            assert problem["hint"], data
            assert "msgspec" not in problem["error"]
