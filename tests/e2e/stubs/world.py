"""The upstream of the stub matrix: what it says stands in the first label. `python world.py IP`."""

import contextlib
import socket
import sys
import threading

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

TEXTS = {"A": "192.0.2.1", "AAAA": "2001:db8::1"}
RCODES = {
    "nx": dns.rcode.NXDOMAIN,
    "servfail": dns.rcode.SERVFAIL,
    "refused": dns.rcode.REFUSED,
    "notimp": dns.rcode.NOTIMP,
    "formerr": dns.rcode.FORMERR,
}


def behaviour(name: str, kind: str) -> str:
    """What to do: `ok`, `nodata`, `lame`, `tc`, `drop` or an rcode."""
    labels = name.lower().rstrip(".").split(".")
    first = labels[0].split("-")
    if labels[-2:] == ["dead", "test"]:
        return "servfail"
    if labels[-2:] == ["corp", "test"]:
        # Bare names of the search rows: what is under the domain stands second.
        first += [""]
        return {"bare": first[1], "found": "ok"}.get(first[0], "nx")
    if first[0] == "bare":
        return "ok"
    if first[0] == "found":
        return "nx"
    if first[0] in ("six", "four"):
        return first[1] if (kind == "AAAA") == (first[0] == "six") else "ok"
    return first[0]


def reply(data: bytes, *, stream: bool) -> bytes | None:
    query = dns.message.from_wire(data)
    asked = query.question[0]
    kind = dns.rdatatype.to_text(asked.rdtype)
    name = asked.name.to_text().lower()
    what = behaviour(name, kind)
    ttl = 300 if "-kept-" in name else 1
    answer = dns.message.make_response(query, recursion_available=what != "lame")
    if what == "drop":
        return None
    if what == "tc" and not stream:
        answer.flags |= dns.flags.TC
        return answer.to_wire()
    if what in RCODES:
        answer.set_rcode(RCODES[what])
    if what in ("nx", "nodata"):
        soa = f"ns.test. root.test. 1 3600 600 86400 {ttl}"
        answer.authority.append(dns.rrset.from_text("test.", ttl, "IN", "SOA", soa))
    if what in ("ok", "tc") and kind in TEXTS:
        answer.answer.append(dns.rrset.from_text(asked.name, ttl, "IN", kind, TEXTS[kind]))
    return answer.to_wire()


def over_tcp(listener: socket.socket) -> None:
    while True:
        link, _ = listener.accept()
        with link, link.makefile("rb") as heard, contextlib.suppress(OSError):
            length = heard.read(2)
            data = heard.read(int.from_bytes(length, "big"))
            if data and (said := reply(data, stream=True)):  # who asks nothing has given up
                link.sendall(len(said).to_bytes(2, "big") + said)


def main() -> None:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((sys.argv[1], 53))
    threading.Thread(target=over_tcp, args=(socket.create_server((sys.argv[1], 53)),)).start()
    print("up", flush=True)
    while True:
        data, peer = udp.recvfrom(4096)
        if said := reply(data, stream=False):
            udp.sendto(said, peer)


if __name__ == "__main__":
    main()
