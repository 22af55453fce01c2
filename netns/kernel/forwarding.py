"""Whether the host forwards, and whether it does so only because we switched it on.

Replies come in over links that we cannot know, so the switch is the host's, not a link's. What we
switched is remembered in a file below exec-root, which lives as long as the switch: until reboot.
"""

import contextlib
import json
from pathlib import Path

from netns.kernel import read, sysctl
from netns.netlink import route
from sdd import fence, plain
from sdd.linux import netlink

_SWITCHES = {4: sysctl.ROOT / "ipv4/ip_forward", 6: sysctl.ROOT / "ipv6/conf/all/forwarding"}
_MOST_BYTES = 1 << 10  # ours has six
_BY_ADVERTISEMENT = 9  # RTPROT_RA
_AS_HOST, _ALWAYS = "1", 2  # accept_ra: only while not forwarding, in any case


class Forwarding:
    """Blocking; called from a thread inside the host's namespace."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: frozenset[int] = frozenset()  # what the file said or was told last

    def read(self) -> frozenset[int]:
        """The IP versions that are forwarded."""
        return frozenset(version for version, path in _SWITCHES.items() if sysctl.read(path) != "0")

    def switched(self) -> frozenset[int]:
        """Those that we switched on.

        A file that somebody removed or damaged meanwhile is written again. Damaged before we ever
        read it, it still tells that we switched something: all are taken for ours then, for a host
        that is guarded in vain is told of, and one that is everybody's router is not.
        """
        found = self._stored()
        if found:
            self._known = found
        elif self._known:
            with contextlib.suppress(OSError):  # no room; there is another pass
                self._remember(self._known)
        elif found is None:
            return frozenset(_SWITCHES)
        return self._known

    def switch(self, version: int, *, on: bool) -> None:
        """Switches, remembers it, and keeps routes that the host learns from its routers."""
        fence.check()
        if on and version == 6:  # noqa: PLR2004 - the IP version
            _keep_advertised_routes()
        if on:
            self._remember(self.switched() | {version})
        sysctl.write(_SWITCHES[version], int(on))
        if not on:
            self._remember(self.switched() - {version})

    def _remember(self, versions: frozenset[int]) -> None:
        """Whole or not at all: an empty file would say that the host forwards by itself."""
        if versions:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            plain.replace(self._file, json.dumps(sorted(versions)).encode())
        else:
            self._file.unlink(missing_ok=True)
        self._known = versions

    def _stored(self) -> frozenset[int] | None:
        """None when the file says nothing that we ever wrote."""
        try:
            found = frozenset(json.loads(plain.read(self._file, _MOST_BYTES)))
        except FileNotFoundError:
            return frozenset()
        except (plain.NotPlain, ValueError, TypeError, RecursionError):
            return None
        return found if found and found <= _SWITCHES.keys() else None


def _keep_advertised_routes() -> None:
    """A host that forwards IPv6 ignores router advertisements, and would lose its way out."""
    asked = route.listing_of(6, _BY_ADVERTISEMENT, route.UNICAST)
    with netlink.Connection(netlink.ROUTE, strict=True) as connection:
        learned = {hop.index for each in connection.dump(*asked) for hop in route.hops(each)}
    with netlink.Connection(netlink.ROUTE) as connection:
        links = read.names(connection)
    for name in (links[index] for index in learned if index in links):
        path = sysctl.ROOT / "ipv6/conf" / name / "accept_ra"
        if sysctl.read(path) == _AS_HOST:
            sysctl.write(path, _ALWAYS)
