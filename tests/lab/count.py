"""What a run of pytest counted, read from its JUnit file."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Count:
    """`unknown` are the reasons of skips that tests.lab.skips does not allow."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    unknown: tuple[str, ...] = ()

    def __add__(self, other: "Count") -> "Count":
        return Count(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.unknown + other.unknown,
        )

    @property
    def good(self) -> bool:
        """Nothing failed, and every skip has a known reason."""
        return not self.failed and not self.unknown

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


FAILED = Count(failed=1)


def read(junit: Path, allowed: tuple[str, ...]) -> Count:
    """Counts of every suite in `junit`; a reason is allowed if it starts with one of `allowed`."""
    total = Count()
    for suite in ET.parse(junit).getroot().iter("testsuite"):
        tests, bad, skipped = (
            sum(int(suite.get(key, 0)) for key in keys)
            for keys in (("tests",), ("failures", "errors"), ("skipped",))
        )
        reasons = (each.get("message") or "no reason" for each in suite.iter("skipped"))
        unknown = tuple(reason for reason in reasons if not reason.startswith(allowed))
        total += Count(max(tests - bad - skipped, 0), bad, skipped, unknown)
    return total
