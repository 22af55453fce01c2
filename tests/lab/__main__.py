"""`python -m tests.lab [PART [pytest arguments]]`: what ./run-tests does once all is set up."""

import signal
import sys
import time
from collections.abc import Sequence

from tests.lab import count, parts


def run(wanted: Sequence[parts.Part], words: Sequence[str]) -> count.Count:
    """Runs all of `wanted`, whatever fails, and prints the table."""
    total = count.Count()
    lines = [f"{'part':8} {'passed':>7} {'failed':>7} {'skipped':>7} {'seconds':>8}"]
    for part in wanted:
        print(f"\n=== {part.name}: {part.what}", flush=True)
        start = time.monotonic()
        found = part.run(words)
        seconds = time.monotonic() - start
        print(f"=== {part.name}: {found}, {seconds:.1f} s", flush=True)
        lines.append(
            f"{part.name:8} {found.passed:7} {found.failed:7} {found.skipped:7} {seconds:8.1f}"
        )
        total += found
    print("", *lines, sep="\n")
    for each in total.failures:
        print(f"\nfailed: {each}")
    for reason in total.unknown:
        print(f"skipped without a known reason (tests/lab/skips.py): {reason}")
    return total


def main(words: Sequence[str]) -> int:
    """Exit status: 0 only if all is well."""
    parts.prepare()
    # So that the guest ends with a run that is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if words:
        total = run([parts.PARTS[words[0]]], words[1:])
    else:
        parts.GUEST.start()
        try:
            total = run(parts.ALL, ())
        finally:
            parts.GUEST.end()
    print(f"\n{total}", flush=True)
    return 0 if total.good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
