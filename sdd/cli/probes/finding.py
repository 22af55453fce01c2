"""One thing the doctor looked at: what it is, what follows from it, what to do."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple


class Verdict(StrEnum):
    """FAIL: sdd cannot do its job. WARN: something is missing that not everybody needs."""

    PASS = "PASS"  # noqa: S105 - no password
    WARN = "WARN"
    FAIL = "FAIL"
    SKIP = "SKIP"


# What concerns names and balancing, wherever it was looked for.
TOPICS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "dns": (
            *("kernel.nft_raw", "host.user"),
            *("daemon.search", "daemon.files", "daemon.hiding", "daemon.servers"),
            *("daemon.records", "daemon.upstreams"),
        ),
        "lb": (
            *("kernel.nftables", "kernel.nft_spread", "kernel.ipvs", "kernel.conntrack"),
            *("kernel.sctp", "host.flows", "daemon.refusals"),
        ),
    }
)


class Finding(NamedTuple):
    """`name` is area.thing; `why` says what does not work, `now` what is done instead.

    `fix` is advice; `commands` are what `--fix` prints or runs, and repair exactly this.
    """

    name: str
    verdict: Verdict
    says: str
    why: str = ""
    now: str = ""
    fix: str = ""
    commands: tuple[str, ...] = ()

    def concerns(self, wanted: Collection[str]) -> bool:
        """What `--only` chooses by: the first part of the name, or a topic."""
        area = self.name.partition(".")[0]
        return area in wanted or any(self.name in TOPICS.get(each, ()) for each in wanted)

    def row(self) -> dict[str, Any]:
        """For `-o json`."""
        return {
            "Name": self.name,
            "Verdict": self.verdict.value,
            "Says": self.says,
            "Why": self.why,
            "Now": self.now,
            "Fix": self.fix,
            "Commands": list(self.commands),
        }


def passed(name: str, says: str) -> Finding:
    """It is as it should be."""
    return Finding(name, Verdict.PASS, says)
