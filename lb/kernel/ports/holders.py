"""Why ports cannot be held → the same with the names of the programs that have them.

A port that is taken is tried again and again. Which socket is in the way the kernel says at once;
whose it is takes a look at everything that all processes have open, so it is remembered.
"""

from collections.abc import Callable, Mapping

from lb.kernel.ports.sockets import number_of
from lb.ports.table import Bind, Hindrance
from sdd.linux import port_holders
from sdd.linux.port_holders import Asked

UNSEEN = f"{Hindrance.TAKEN}; none is seen to, so it may be the kernel itself (NFS, WireGuard)"
BELIEVED_S = 60.0  # a program may hand its socket to another one


class Holders:
    """Runs in the namespace of the calling thread, one at a time. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[int, tuple[str, float]] = {}  # who has a socket (its inode), until when

    def named(self, reasons: Mapping[Bind, str]) -> Mapping[Bind, str]:
        """One look at the processes for all that is new, at most `port_holders.LIMIT_S`."""
        taken = [bind for bind, reason in reasons.items() if reason == Hindrance.TAKEN]
        asked = {bind: _asked(bind) for bind in taken}
        inodes = port_holders.sockets(asked.values()) if asked else {}
        now = self._clock()
        self._known = {each: found for each, found in self._known.items() if found[1] > now}
        if new := set(inodes.values()) - self._known.keys():
            found = port_holders.owning(new)
            for inode in new:
                words = f"{found[inode]} has it" if inode in found else UNSEEN
                self._known[inode] = (words, now + BELIEVED_S)
        told = {inode: words for inode, (words, _) in self._known.items()}
        words_of = {bind: told.get(inodes.get(one, 0), UNSEEN) for bind, one in asked.items()}
        return {**reasons, **words_of}


def _asked(bind: Bind) -> Asked:
    return Asked(
        version=bind.version,
        protocol=number_of(bind.protocol),
        number=bind.number,
        address=bind.address,
    )
