"""DNS over QUIC, loaded when the first such server is there: its library is as big as all the rest.

In: nothing. Out: the module, read in a thread while others are served. Where the process that is to
read it will not be allowed to, it is loaded before that process gives up its rights.
"""

import asyncio
import gc
import importlib
import importlib.util
import stat
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

from resolver.upstream import transports

MODULE: Final = "resolver.upstream.doq"
# One of each place that is read: the library's, those that it takes along, Python's, and ours.
_FROM: Final = (transports.QUIC_LIBRARY, "cryptography", "OpenSSL", "json", "resolver")


async def doq() -> ModuleType:
    """The module; raises ImportError where the library is not installed, or cannot be read."""
    is_new = MODULE not in sys.modules
    try:
        found = await asyncio.to_thread(importlib.import_module, MODULE)
    except OSError as exc:
        raise ImportError(f"{MODULE}: {exc}") from exc
    if is_new:
        gc.freeze()  # as of what was there from the start, nothing of it ever goes
    return found


def load_if_hidden() -> None:
    """Load it now if only a few may read its files."""
    if transports.has_quic() and not all(map(_is_public, _FROM)):
        importlib.import_module(MODULE)


def _is_public(package: str) -> bool:
    """Whether everybody may read the package's first file."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return False
    file = Path(found.origin)
    ways = {*file.absolute().parents, *file.resolve().parents}
    return bool(file.stat().st_mode & stat.S_IROTH) and all(
        each.stat().st_mode & stat.S_IXOTH for each in ways
    )
