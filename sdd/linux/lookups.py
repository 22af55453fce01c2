"""Where paths that others gave lead, asked in threads: what they lead through may hang.

In: a path. Out: the inode of the namespace there, or `errors.Unavailable` when nothing is heard in
time. Whoever asks for a path that hangs waits with the others for the one thread that hangs in it.
"""

import asyncio
import functools
from collections.abc import Callable
from typing import Final

from sdd import errors
from sdd.linux import namespaces

PATIENCE_S: Final = 2.0  # a look takes microseconds; what hangs once is looked at again anyway


class Lookups:
    """`ask` blocks; used within one event loop."""

    def __init__(
        self, ask: Callable[[str], int] = namespaces.inode, patience_s: float = PATIENCE_S
    ) -> None:
        self._ask = ask
        self._patience_s = patience_s
        self._going: dict[str, asyncio.Future[int]] = {}

    async def inode(self, path: str) -> int:
        """As `namespaces.inode`."""
        going = self._going.get(path)
        if going is None:
            going = asyncio.get_running_loop().run_in_executor(None, self._ask, path)
            self._going[path] = going
            going.add_done_callback(functools.partial(self._done, path))
        try:
            async with asyncio.timeout(self._patience_s):
                return await asyncio.shield(going)
        except TimeoutError:
            raise errors.Unavailable(
                f"nobody can tell where {path!r} leads: the look takes more than"
                f" {self._patience_s:g} s",
                hint="a file system on the way does not answer; mend or unmount it",
                code="SDD-NETNS-HANGS",
            ) from None

    def _done(self, path: str, _: asyncio.Future[int]) -> None:
        del self._going[path]
