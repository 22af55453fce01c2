"""sdctl: one file per noun. Stays light: no asyncio, no daemon package."""

import sys
from typing import Never


def main() -> Never:
    """The console script: runs the command line, ends with its exit code."""
    from sdd.linux import descriptors

    descriptors.fill(descriptors.Unread.REFUSED)
    from sdd.cli import root

    sys.exit(root.run(sys.argv[1:]))
