"""As many ports as one object may have, published by one command through the whole daemon.

Ours holds each port with a socket, in both IP versions, names it in SRV records and stores it; the
peer writes two plain nft rules a port in one transaction. The bound is two seconds on the clock.
"""

import subprocess
import time
from pathlib import Path

from tests.bench import report
from tests.bench.ports.bench_publish import FRAME, rules
from tests.e2e.appliance import Appliance

FIRST, COUNT = 20000, 4096
BOUND_MS = 2000.0


def cpu_ms(one: Appliance) -> float:
    """What the daemon has used of processors so far."""
    assert one.process is not None
    fields = Path(f"/proc/{one.process.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) * 10.0


def ours(one: Appliance) -> dict[str, float]:
    found = {}
    last = FIRST + COUNT - 1
    one.sdctl("network", "create", "front")
    box = one.sandbox("web", "--network", "front")
    one.sdctl("service", "create", "many", "--network", "front")
    one.sdctl("service", "join", "many", box)
    used, begun = cpu_ms(one), time.perf_counter()
    one.sdctl("service", "update", "many", "--publish-add", f"{FIRST}-{last}:{FIRST}-{last}")
    found["service"] = (time.perf_counter() - begun) * 1000
    found["service CPU"] = cpu_ms(one) - used
    begun = time.perf_counter()
    one.sandbox("wide", "--network", "front", "-p", f"{last + 1}-{last + COUNT}:1-{COUNT}")
    found["sandbox"] = (time.perf_counter() - begun) * 1000
    return found


def peer(one: Appliance) -> float:
    text = FRAME + "".join(rules(40000 + number) for number in range(COUNT))
    begun = time.perf_counter()
    command = ["nsenter", f"--net=/run/netns/{one.host}", "nft", "-f", "-"]
    subprocess.run(command, input=text, text=True, check=True)
    return (time.perf_counter() - begun) * 1000


def main() -> None:
    one = Appliance("mostports")
    try:
        one.start()
        mine, theirs = ours(one), peer(one)
    finally:
        one.close()
    for what, key in (
        (f"{COUNT} ports of a service, at once", "service"),
        (f"{COUNT} ports of a service, CPU", "service CPU"),
        (f"{COUNT} ports of a sandbox, at once", "sandbox"),
    ):
        report.row(
            report.Row(
                what=what,
                ours=mine[key],
                peer=BOUND_MS,
                peer_name=f"the bound (nft -f, {2 * COUNT} rules: {theirs:.0f} ms)",
                unit="ms",
                goal=1.0,
            )
        )


if __name__ == "__main__":
    main()
