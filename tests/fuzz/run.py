"""`python -m tests.fuzz.run TARGET FOLDER [libFuzzer options]`: one target under atheris.

FOLDER collects what reached new code. The exit status is not 0 when something was found; the
bytes are then in a file `crash-…` of the working directory.
"""

import sys

import atheris

with atheris.instrument_imports(include=["resolver"]):
    from tests.fuzz import targets


def main() -> None:
    name, folder, *options = sys.argv[1:]
    atheris.Setup([sys.argv[0], folder, *options], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
