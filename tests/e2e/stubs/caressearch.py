"""c-ares with the search list, as programs that embed it ask: `python caressearch.py NAME` → JSON."""

import json
import socket
import sys
import time
from typing import Any

import pycares
from pycares import errno as codes

NONE = {codes.ARES_ENOTFOUND, codes.ARES_ENODATA}


def main() -> None:
    found: list[tuple[Any, int | None]] = []
    channel = pycares.Channel()
    began = time.monotonic()
    channel.getaddrinfo(
        sys.argv[1],
        None,
        family=socket.AF_UNSPEC,
        type=socket.SOCK_STREAM,
        callback=lambda result, error: found.append((result, error)),
    )
    channel.wait()
    seconds = time.monotonic() - began
    result, error = found[0]
    said = "ok" if error is None else "none" if error in NONE else "again"
    nodes = result.nodes if result else ()
    addresses = [
        each.addr[0].decode() if isinstance(each.addr[0], bytes) else each.addr[0] for each in nodes
    ]
    print(json.dumps({"said": said, "seconds": seconds, "addresses": addresses}))
    channel.close()


if __name__ == "__main__":
    main()
