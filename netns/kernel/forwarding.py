"""Whether the host forwards, and whether it does so only because we switched it on.

Replies come in over links that we cannot know, so the switch is the host's, not a link's. What we
switched is remembered in a file below exec-root, which lives as long as the switch: until reboot.
"""

import json
from pathlib import Path

from netns.kernel import read, sysctl
from netns.netlink import route
from sdd.linux import netlink

_SWITCHES = {4: sysctl.ROOT / "ipv4/ip_forward", 6: sysctl.ROOT / "ipv6/conf/all/forwarding"}
_BY_ADVERTISEMENT = 9  # RTPROT_RA
_AS_HOST, _ALWAYS = "1", 2  # accept_ra: only while not forwarding, in any case


class Forwarding:
    """Blocking; called from a thread inside the host's namespace."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> frozenset[int]:
        """The IP versions that are forwarded."""
        return frozenset(version for version, path in _SWITCHES.items() if sysctl.read(path) != "0")

    def switched(self) -> frozenset[int]:
        """Those that we switched on."""
        try:
            return frozenset(json.loads(self._file.read_text()))
        except (FileNotFoundError, ValueError):
            return frozenset()

    def switch(self, version: int, *, on: bool) -> None:
        """Switches, remembers it, and keeps routes that the host learns from its routers."""
        if on and version == 6:  # noqa: PLR2004 - the IP version
            _keep_advertised_routes()
        if on:
            self._remember(self.switched() | {version})
        sysctl.write(_SWITCHES[version], int(on))
        if not on:
            self._remember(self.switched() - {version})

    def _remember(self, versions: frozenset[int]) -> None:
        if not versions:
            self._file.unlink(missing_ok=True)
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(sorted(versions)))


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
