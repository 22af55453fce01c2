"""What the options of an endpoint say of its link in the sandbox. The keys are Docker's.

In: an endpoint's options. Out: one frozen value. The commands read each text with the same parser
before it is ever stored, so nothing is wrong here any more.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sdd.model import options
from sdd.model.options import Option

PREFIX = "com.docker.network.endpoint."
IFNAME = f"{PREFIX}ifname"
SYSCTLS = f"{PREFIX}sysctls"
PLACE = "IFNAME"  # stands for the link's name, which the one who asks may not know
DISABLE_IPV6 = "net.ipv6.conf.IFNAME.disable_ipv6"
ARP_IGNORE = "net.ipv4.conf.IFNAME.arp_ignore"
# What the folders below /proc/sys/net/*/conf hold besides links.
NO_LINKS = frozenset({"all", "default"})
_SYSCTL = re.compile(r"net\.(ipv4|ipv6|mpls)\.(conf|neigh)\.IFNAME\.([a-z0-9_]{1,64})")
_NUMBER = re.compile(r"-?[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Sysctl:
    """A number that the kernel keeps of the link: `net.ipv4.conf.IFNAME.log_martians`."""

    key: str
    value: int

    def file(self, ifname: str) -> str:
        """Where it lies below /proc/sys."""
        return "/".join(ifname if part == PLACE else part for part in self.key.split("."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """All options of one endpoint; an empty `ifname` is chosen."""

    ifname: str = ""
    sysctls: tuple[Sysctl, ...] = ()

    @property
    def has_ipv6(self) -> bool:
        """Whether the link may have IPv6 addresses at all."""
        return all(each.key != DISABLE_IPV6 or not each.value for each in self.sysctls)


def of(given: Mapping[str, str]) -> Interface:
    """The value of an endpoint's options."""
    return _of(tuple(given.items())) if given else NOTHING


@functools.lru_cache(maxsize=1024)  # they are read at every revision
def _of(given: tuple[tuple[str, str], ...]) -> Interface:
    return Interface(**options.fields(OPTIONS, dict(given)))


def to_link(text: str) -> str:
    """The name of a link in a sandbox."""
    if text in NO_LINKS:
        raise ValueError(f"cannot be {text!r}: the kernel uses this word for all links")
    return options.to_ifname(text)


def to_sysctls(text: str) -> tuple[Sysctl, ...]:
    """KEY=NUMBER with commas between; never more than that, for it becomes a path."""
    found = [_sysctl(each) for each in text.split(",")]
    for place, each in enumerate(found):
        if each.key in {one.key for one in found[:place]}:
            raise ValueError(f"says {each.key} twice: leave one of them out")
    return tuple(found)


def _sysctl(text: str) -> Sysctl:
    key, equals, value = text.partition("=")
    if not _SYSCTL.fullmatch(key) or not equals:
        raise ValueError(
            f"cannot hold {text!r}: write net.X.Y.IFNAME.Z=NUMBER, the link's name as IFNAME,"
            " X one of ipv4, ipv6, mpls, and Y conf or neigh"
        )
    if not _NUMBER.fullmatch(value):
        raise ValueError(f"cannot set {key} to {value!r}: it is a whole number")
    if key == ARP_IGNORE and value != "1":
        raise ValueError(
            f"cannot set {key} to {value}: the sandbox would claim the addresses of services"
        )
    return Sysctl(key, int(value))


NOTHING = Interface()
OPTIONS: Mapping[str, Option] = MappingProxyType(
    {IFNAME: Option("ifname", to_link), SYSCTLS: Option("sysctls", to_sysctls)}
)
