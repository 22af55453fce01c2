"""A sandbox's servers of every kind, naive ones: `python many_servers.py NAME CERT KEY [ADDRESS]…`.

HTTP on 80, TLS on 443, DNS on UDP 53, an echo on UDP 54. Each says NAME and the client's address. They
belong to no address (0.0.0.0 and ::) unless some are given. A datagram server here does what most
do: it answers with the socket that it has, and ends if that fails.
"""

import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Sequence

HTTP, TLS, DNS, ECHO = 80, 443, 53, 54


def main(name: str, cert: str, key: str, addresses: Sequence[str]) -> None:
    """Serves until one of its servers ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    ended = threading.Event()
    for address in addresses or ("0.0.0.0", "::"):
        for port, serve in (
            (HTTP, lambda link: _streams(link, name, None)),
            (TLS, lambda link: _streams(link, name, context)),
            (DNS, lambda link: _datagrams(link, lambda asked, peer: _dns(asked, name, peer))),
            (ECHO, lambda link: _datagrams(link, lambda _, peer: f"{name} {peer}".encode())),
        ):
            link = _bound(address, port)
            threading.Thread(target=_guarded, args=(serve, link, ended), daemon=True).start()
    ended.wait()


def _guarded(
    serve: Callable[[socket.socket], None], link: socket.socket, ended: threading.Event
) -> None:
    try:
        serve(link)
    finally:
        ended.set()


def _bound(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if port in (HTTP, TLS) else socket.SOCK_DGRAM
    link = socket.socket(family, kind)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    link.bind((address, port))
    if kind == socket.SOCK_STREAM:
        link.listen(64)
    return link


def _streams(link: socket.socket, name: str, context: ssl.SSLContext | None) -> None:
    while True:
        one, peer = link.accept()
        threading.Thread(target=_answered, args=(one, context, f"{name} {peer[0]}")).start()


def _answered(one: socket.socket, context: ssl.SSLContext | None, words: str) -> None:
    with one:
        one.settimeout(30)
        try:
            with context.wrap_socket(one, server_side=True) if context else one as link:
                if link.recv(4096):
                    link.sendall(f"HTTP/1.0 200 OK\r\n\r\n{words}".encode())
        except OSError:
            pass  # a check that only connects


def _datagrams(link: socket.socket, answer: Callable[[bytes, str], bytes]) -> None:
    while True:
        asked, peer = link.recvfrom(2048)
        link.sendto(answer(asked, peer[0]), peer)


def _dns(asked: bytes, name: str, peer: str) -> bytes:
    """The question back with one TXT record."""
    words = f"{name} {peer}".encode()
    end = asked.index(b"\0", 12) + 5  # the root label, type and class
    header = asked[:2] + struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0)
    record = struct.pack("!HHHIHB", 0xC00C, 16, 1, 0, len(words) + 1, len(words))
    return header + asked[12:end] + record + words


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
