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
