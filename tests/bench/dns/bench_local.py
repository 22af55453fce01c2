"""Names of our own: queries per CPU-second of the server, against dnsmasq and unbound.

Two loads: one name asked again and again, and a thousand names in random order. Each server is
measured in several rounds that alternate, so that a change of the machine's mood hits them all.
"""

import random
import statistics
import tempfile
from pathlib import Path

from tests.bench import report
from tests.bench.dns import lab

ROUNDS = 2
SECONDS = 3
NAMES = {f"web{n}": f"10.{60 + n // 65536}.{n // 256 % 256}.{n % 256}" for n in range(1000)}
GOALS = {"dnsmasq": 1.0, "unbound": 0.95}  # the first issue asks for 1/1.2 of dnsmasq


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, lab.scratch("local") as space:
        loads = _loads(Path(folder))
        with (
            lab.worker(space, NAMES) as ours,
            lab.dnsmasq(space, NAMES, Path(folder)) as dnsmasq,
            lab.unbound(space, NAMES, Path(folder)) as unbound,
        ):
            lab.ready(space, ours, "web0")
            servers = (ours, dnsmasq, unbound)
            for what, queries in loads.items():
                rates: dict[str, list[float]] = {each.name: [] for each in servers}
                for _ in range(ROUNDS):
                    for each in servers:
                        cost = lab.load(space, each, queries, seconds=SECONDS)
                        rates[each.name].append(cost.per_cpu_s)
                _report(what, rates)


def _loads(folder: Path) -> dict[str, Path]:
    one, many = folder / "one", folder / "many"
    one.write_text("web7 A\n")
    names = [*NAMES] * 20
    random.Random(5).shuffle(names)
    many.write_text("".join(f"{name} A\n" for name in names))
    return {"one name": one, "a thousand names": many}


def _report(what: str, rates: dict[str, list[float]]) -> None:
    ours = statistics.median(rates.pop("sdd-dns"))
    for name, found in rates.items():
        report.row(
            report.Row(
                what=f"local A answers per CPU-second, {what}",
                ours=ours,
                peer=statistics.median(found),
                peer_name=name,
                unit="q/s",
                goal=GOALS[name],
                better=report.Better.HIGHER,
            )
        )


if __name__ == "__main__":
    main()
