"""Names of our own: what an answer costs, against dnsmasq, unbound and aardvark-dns.

Two loads: one name asked again and again, and a thousand names in random order.
"""

import tempfile
from pathlib import Path

from tests.bench.dns import lab, ours, peers

NAMES = {f"web{n}": f"10.60.{n // 256}.{n % 256}" for n in range(1000)}
# The first issue asks for 1/1.2 of dnsmasq only.
GOALS = {"dnsmasq": 1.0, "unbound": 0.95, "aardvark-dns": 2.0, peers.BARE: 1.0}


def main() -> None:
    with tempfile.TemporaryDirectory() as name, lab.scratch("local") as space:
        folder = Path(name)
        with (
            ours.worker(space, NAMES) as worker,
            peers.dnsmasq(space, folder, "web0", NAMES) as dnsmasq,
            peers.unbound(space, folder, "web0", NAMES) as unbound,
            peers.aardvark(space, folder, "web0", NAMES) as aardvark,
            peers.bare(space, NAMES) as bare,
        ):
            servers = (lab.ready(worker, "web0"), dnsmasq, unbound, aardvark, bare)
            one = lab.shuffled(["web7"], folder / "one")
            many = lab.shuffled(NAMES, folder / "many")
            lab.compare("one local name,", servers, one, GOALS)
            lab.compare("a thousand local names,", servers, many, GOALS)


if __name__ == "__main__":
    main()
