"""`python -m tests.fuzz.run TARGET FOLDER [libFuzzer options]`: one target under atheris.

FOLDER collects what reached new code. The exit status is not 0 when something was found; the
bytes are then in a file `crash-…` of the working directory.
"""

import sys
import time
from typing import Final

import atheris

with atheris.instrument_imports(include=["resolver"]):
    from tests.fuzz import targets


MOST_S: Final = 5.0  # of the processor's time for an input, however busy the machine is


def timed(target: targets.Target) -> targets.Target:
    """The same; raises when it takes too long."""

    def tried(data: bytes) -> None:
        begun = time.process_time()
        target(data)
        taken_s = time.process_time() - begun
        assert taken_s < MOST_S, f"it takes {taken_s:.1f} s"

    return tried


def main() -> None:
    name, folder, *options = sys.argv[1:]
    atheris.Setup([sys.argv[0], folder, *options], timed(targets.TARGETS[name]))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
