"""What the daemon says, or that it says nothing, as errors with the right exit code."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdd import client, errors


class Canned:
    """A server that reads one request and sends what it was told."""

    def __init__(self, path: Path) -> None:
        self.reply = b""
        self.heard = b""
        self.path = path
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self._listening.accept()
            except OSError:
                return
            with link:
                self.heard = link.recv(65536)
                if self.reply:
                    link.sendall(self.reply)
                else:
                    link.recv(1)

    def answer(self, status: int, body: bytes) -> None:
        head = f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\n\r\n"
        self.reply = head.encode() + body

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(60)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Canned]:
    one = Canned(tmp_path / "s")
    yield one
    one.close()


def ask(path: Path, timeout_s: float = 60) -> object:
    return client.Client(f"unix://{path}", timeout_s).get("/v1/x", {"a": "b c"})


def test_json_comes_back(server: Canned) -> None:
    server.answer(200, b'{"a": 1}')
    assert ask(server.path) == {"a": 1}
    assert server.heard.startswith(b"GET /v1/x?a=b%20c HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("status", "exit_code", "kind"),
    [
        (400, 1, errors.Invalid),
        (403, 1, errors.Forbidden),
        (403, 77, errors.Denied),
        (404, 1, errors.NotFound),
        (409, 1, errors.Conflict),
        (500, 1, errors.KernelRefused),
        (503, 1, errors.Unavailable),
        (504, 124, errors.TimedOut),
        (507, 1, errors.Exhausted),
    ],
)
def test_a_problem_keeps_its_words_and_its_exit(
    server: Canned, status: int, exit_code: int, kind: type[errors.SddError]
) -> None:
    server.answer(
        status,
        b'{"error": "no", "hint": "do", "code": "SDD-X", "status": %d, "exit": %d}'
        % (status, exit_code),
    )
    with pytest.raises(kind) as caught:
        ask(server.path)
    found = caught.value
    assert type(found) is kind
    assert (found.sentence, found.hint, found.code) == ("no", "do", "SDD-X")
    assert found.exit_code == exit_code


@pytest.mark.parametrize(
    "reply", [b"hello\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{{", b"\0" * 70000]
)
def test_something_else_at_the_socket_is_unreachable(server: Canned, reply: bytes) -> None:
    server.reply = reply
    with pytest.raises(errors.Unreachable):
        ask(server.path)


@pytest.mark.parametrize(
    "reply", [b"\r\n", b"HTTP/1.", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"]
)
def test_a_daemon_that_ends_in_the_middle_is_not_taken_for_another(
    server: Canned, reply: bytes
) -> None:
    server.reply = reply
    with pytest.raises(errors.Unreachable, match="ended before it had answered") as caught:
        ask(server.path)
    assert "may be done or not" in caught.value.hint


def test_silence_is_a_timeout(server: Canned) -> None:
    with pytest.raises(errors.TimedOut) as caught:
        ask(server.path, 0.05)
    assert caught.value.exit_code == 124


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(errors.Unreachable, match="no such file"):
        ask(tmp_path / "nothing")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "dead"))
    dead.close()
    with pytest.raises(errors.Unreachable, match="connection refused"):
        ask(tmp_path / "dead")
    with pytest.raises(errors.Unreachable):
        ask(tmp_path / ("x" * 120))


def test_a_part_of_a_path_is_escaped() -> None:
    assert client.part("a/b c?d") == "a%2Fb%20c%3Fd"
