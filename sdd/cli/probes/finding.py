"""One thing the doctor looked at: what it is, what follows from it, what to do."""

from enum import StrEnum
from typing import Any, NamedTuple


class Verdict(StrEnum):
    """FAIL: sdd cannot do its job. WARN: something is missing that not everybody needs."""

    PASS = "PASS"  # noqa: S105 - no password
    WARN = "WARN"
    FAIL = "FAIL"
    SKIP = "SKIP"


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

    @property
    def area(self) -> str:
        """What `--only` chooses by."""
        return self.name.partition(".")[0]

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
