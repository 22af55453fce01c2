"""A DNS worker that serves like ours, of the release that stands in `<exec-root>/release`."""

import sys
from pathlib import Path

from resolver import protocol
from resolver.worker import process


def main() -> None:
    root = Path(sys.argv[sys.argv.index("--exec-root") + 1])
    protocol.RELEASE = int(root.joinpath("release").read_text())  # type: ignore[misc]
    process.main()


if __name__ == "__main__":
    main()
