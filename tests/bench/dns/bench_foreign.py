"""Names of others: answers from the cache and forwards, against dnsmasq and unbound.

An unbound with local data plays the upstream for all; caches are warm for the first load, and for
the second no answer may be remembered.
"""

import tempfile
from pathlib import Path

from resolver import protocol
from tests.bench.dns import lab, ours, peers

CACHED = {f"w{n}.example.org": f"192.0.2.{n % 256}" for n in range(1000)}
GOALS = {"dnsmasq": 1.0, "unbound": 0.95, peers.BARE: 1.0}
FORWARDS = {"dnsmasq": 0.2, "unbound": 0.2}  # no goal was set; shown to be watched
UPSTREAM = 5399
WILD = "new.example.net"


def main() -> None:
    with tempfile.TemporaryDirectory() as name, lab.scratch("foreign") as space:
        folder = Path(name)
        first = next(iter(CACHED))
        upstream = protocol.Upstream(lab.HOST, UPSTREAM, inside=False)
        with (
            peers.unbound(space, folder, first, CACHED, wild=WILD, port=UPSTREAM, ttl=3600),
            ours.worker(space, {}, (upstream,)) as worker,
            peers.dnsmasq(space, folder, first, upstream=UPSTREAM) as dnsmasq,
            peers.unbound(space, folder, first, upstream=UPSTREAM) as unbound,
        ):
            servers = (lab.ready(worker, first), dnsmasq, unbound)
            cached = lab.shuffled(CACHED, folder / "cached")
            for each in servers:
                lab.rate(each, cached, seconds=1)  # warms the cache
            with peers.bare(space, CACHED) as bare:
                lab.compare("cached", (*servers, bare), cached, GOALS)
            fresh = lab.shuffled((f"n{n}.{WILD}" for n in range(20_000)), folder / "fresh")
            lab.compare("forwarded", servers, fresh, FORWARDS)


if __name__ == "__main__":
    main()
