"""The least that Python can do for an answer: whoever waits for it cannot be served sooner by us.

A program: an address and a port to listen at, then names. No checks, no cache, no counters, no
second socket; the answers are made before. What it takes more than dnsmasq is the interpreter's.
"""

import select
import socket
import sys

from resolver.message import wire

_RESPONSE = b"\x85\x80\0\1\0\1\0\0\0\0"
_TAIL = b"\0\1\0\1"  # A IN
_ANSWER = wire.record(wire.A, 5, socket.inet_aton("192.0.2.1"))


def main() -> None:
    host, port, *names = sys.argv[1:]
    asked = [wire.to_wire(name) + _TAIL for name in names]
    known = {each: _RESPONSE + each + b"\xc0\x0c" + _ANSWER for each in asked}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, select.epoll() as waiting:
        server.bind((host, int(port)))
        server.setblocking(False)
        waiting.register(server, select.EPOLLIN)
        while True:
            waiting.poll()
            _drain(server, known)


def _drain(server: socket.socket, known: dict[bytes, bytes]) -> None:
    while True:
        try:
            data, who = server.recvfrom(512)
        except BlockingIOError:
            return
        answer = known.get(data[wire.HEADER : data.index(0, wire.HEADER) + 5])  # no OPT
        if answer:
            server.sendto(data[:2] + answer, who)


if __name__ == "__main__":
    main()
