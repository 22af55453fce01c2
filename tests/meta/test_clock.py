"""TTLs, timeouts and health are measured by a clock that nobody sets."""

import re

from tests.meta import tracked

WALL = re.compile(r"\btime\.(time|time_ns|gmtime|localtime)\(|\bdatetime\b")


def test_A8_89_the_resolver_reads_the_wall_clock_only_for_when_it_began() -> None:
    found = {
        tracked.name(path): len(WALL.findall(path.read_text()))
        for path in tracked.files("resolver/*.py")
    }
    assert {name: count for name, count in found.items() if count} == {
        "resolver/worker/process.py": 1
    }


def test_A2_ages_are_counted_by_the_clock_that_a_sleeping_machine_does_not_stop() -> None:
    """What is left measures how long something takes while it is waited for."""
    found = {
        tracked.name(path)
        for path in tracked.files("resolver/*.py")
        if re.search(r"time\.monotonic\(\)|= ?time\.monotonic\b", path.read_text())
    }
    assert found == {
        "resolver/explain/query.py",
        "resolver/files/errand.py",
        "resolver/listen/selector.py",
    }
