"""Asks `many_servers` as programs do: words `KIND ADDRESS PORT` in, a JSON list of answers out.

A datagram goes out once, or with `KIND+` every second until it is answered or refused: the kernel
tells one host six times that it is refused, then once a second.
"""

import json
import socket
import ssl
import sys
import time

PATIENCE_S = 30.0
AGAIN_S = 1.0
_QUESTION = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01x\x04test\x00\x00\x10\x00\x01"


def main(words: list[str]) -> list[str]:
    """An answer to each three words, or what went wrong."""
    asked = zip(words[::3], words[1::3], words[2::3], strict=True)
    return [_answer(kind, address, int(port)) for kind, address, port in asked]


def _answer(kind: str, address: str, port: int) -> str:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    is_stream = kind.removesuffix("+") in ("http", "tls")
    try:
        with socket.socket(family, socket.SOCK_STREAM if is_stream else socket.SOCK_DGRAM) as link:
            link.settimeout(PATIENCE_S)
            link.connect((address, port))
            return _streamed(link, kind) if is_stream else _datagram(link, kind)
    except OSError as exc:
        return f"{type(exc).__name__}: {exc}"


def _streamed(link: socket.socket, kind: str) -> str:
    if kind.startswith("tls"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        link = context.wrap_socket(link)
    link.sendall(b"GET / HTTP/1.0\r\n\r\n")
    return b"".join(iter(lambda: link.recv(4096), b"")).decode().rpartition("\r\n\r\n")[2]


def _datagram(link: socket.socket, kind: str) -> str:
    is_dns = kind.startswith("dns")
    until = time.monotonic() + PATIENCE_S
    if kind.endswith("+"):
        link.settimeout(AGAIN_S)
    while True:
        link.send(_QUESTION if is_dns else b"hello")
        try:
            answer = link.recv(2048)
        except TimeoutError:
            if time.monotonic() > until:
                raise
        else:
            return (answer[len(_QUESTION) + 13 :] if is_dns else answer).decode()


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
