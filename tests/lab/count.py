"""What a run of pytest counted, read from its JUnit file."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SHOWN = 12  # lines of one failure


@dataclass(frozen=True, slots=True)
class Count:
    """`unknown` are the reasons of skips that tests.lab.skips does not allow.

    `failures` say of each test that failed what was wrong, in a few lines.
    """

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    unknown: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()

    def __add__(self, other: "Count") -> "Count":
        return Count(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.unknown + other.unknown,
            self.failures + other.failures,
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
        failures = tuple(_failures(suite))
        total += Count(max(tests - bad - skipped, 0), bad, skipped, unknown, failures)
    return total


def _failures(suite: ET.Element) -> Iterator[str]:
    """Each failed test's name, with the lines of the test that led there and what they met."""
    for case in suite.iter("testcase"):
        for found in (*case.iter("failure"), *case.iter("error")):
            lines = [line.rstrip() for line in (found.text or "").splitlines()]
            met = [line for line in lines if line.startswith(("E ", ">")) or _is_place(line)]
            name = f"{case.get('classname')}::{case.get('name')}"
            yield "\n    ".join((name, *met[-SHOWN:]))


def _is_place(line: str) -> bool:
    """As in `tests/e2e/test_ports.py:21: AssertionError`."""
    return line.startswith("tests/") and ".py:" in line
