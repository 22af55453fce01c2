"""A resolver that behaves as Go's own: `python golike.py NAME` prints JSON.

Each family has a socket of its own; two attempts of 5 s a server; EDNS with 1232 bytes; TCP after a
truncated reply; a reply of another id or question is passed over; "no such name" is final, an
empty answer of one who neither knows nor recurses is lame; the search list by ndots.
"""

import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode

TIMEOUT_S = 5.0
ATTEMPTS = 2


def settings() -> tuple[list[str], list[str], int]:
    servers, search, ndots = [], [], 1
    for line in Path("/etc/resolv.conf").read_text().splitlines():
        words = line.split()
        if words[:1] == ["nameserver"]:
            servers.append(words[1])
        elif words[:1] == ["search"]:
            search = words[1:]
        elif words[:1] == ["options"]:
            for each in words[1:]:
                if each.startswith("ndots:"):
                    ndots = int(each.removeprefix("ndots:"))
    return servers, search, ndots


def candidates(name: str, search: list[str], ndots: int) -> list[str]:
    if name.endswith("."):
        return [name]
    longer = [f"{name}.{domain}." for domain in search]
    return [f"{name}.", *longer] if name.count(".") >= ndots else [*longer, f"{name}."]


def asked(name: str, kind: str, servers: list[str]) -> tuple[str, list[str]]:
    """("ok", addresses), ("none", []) or ("again", [])."""
    said = "again"
    for _ in range(ATTEMPTS):
        for server in servers:
            query = dns.message.make_query(name, kind, use_edns=0, payload=1232)
            try:
                reply = dns.query.udp(query, server, TIMEOUT_S, ignore_unexpected=True)
                if reply.flags & dns.flags.TC:
                    reply = dns.query.tcp(query, server, TIMEOUT_S)
            except (dns.exception.DNSException, OSError):
                continue
            if reply.rcode() == dns.rcode.NXDOMAIN:
                return "none", []
            if reply.rcode() != dns.rcode.NOERROR:
                continue
            found = [
                item.to_text() for each in reply.answer for item in each if hasattr(item, "address")
            ]
            if found:
                return "ok", found
            if not reply.flags & (dns.flags.AA | dns.flags.RA) and not reply.additional:
                continue  # lame
            return "none", []
    return said, []


def main() -> None:
    servers, search, ndots = settings()
    began = time.monotonic()
    said, addresses = "none", []
    for name in candidates(sys.argv[1], search, ndots):
        with ThreadPoolExecutor(2) as both:
            futures = [both.submit(asked, name, kind, servers) for kind in ("A", "AAAA")]
            results = [each.result() for each in futures]
        addresses = [each for _, found in results for each in found]
        if addresses:
            said = "ok"
            break
        if any(each == "again" for each, _ in results):
            said = "again"
    seconds = time.monotonic() - began
    print(json.dumps({"said": said, "seconds": seconds, "addresses": addresses}))


if __name__ == "__main__":
    socket.setdefaulttimeout(TIMEOUT_S)
    main()
