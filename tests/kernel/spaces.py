"""Network namespaces of a test's own, and what is left of them when the tests are over."""

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from tests import support

_NUMBER = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Space:
    """One namespace, named so that `ip -n NAME` finds it; may play a host."""

    name: str

    @property
    def path(self) -> str:
        return f"/run/netns/{self.name}"

    def run(self, *command: str, check: bool = True) -> str:
        """What `command` printed there."""
        return support.run("nsenter", f"--net={self.path}", *command, check=check).stdout


def forward_nothing(path: str) -> None:
    """As a booted machine: a new namespace takes the switches of the first one, whatever they are.

    net/ipv4/devinet.c, devinet_init_net: unless net.core.devconf_inherit_init_net says otherwise.
    """
    switches = ("net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0")
    support.run("nsenter", f"--net={path}", "sysctl", "-qw", *switches)


class Spaces:
    """Makes namespaces named `t-<tag>-<pid>-<number>`; `close` removes them."""

    def __init__(self) -> None:
        self._made: list[Space] = []

    def make(self, tag: str) -> Space:
        """A new one with `lo` up."""
        space = Space(f"t-{tag}-{os.getpid()}-{next(_NUMBER)}")
        support.run("ip", "netns", "add", space.name)
        self._made.append(space)
        space.run("ip", "link", "set", "lo", "up")
        forward_nothing(space.path)
        return space

    def close(self) -> None:
        while self._made:
            support.run("ip", "netns", "del", self._made.pop().name)


@dataclass(frozen=True, slots=True)
class Traces:
    """What tests must leave as it was, each kind as a set of lines."""

    mounts: frozenset[str]
    links: frozenset[str]
    tables: frozenset[str]
    descriptors: frozenset[str]

    def since(self, before: "Traces") -> list[str]:
        """A line for everything that is here now and was not before."""
        return [
            f"{kind}: {line}"
            for kind in ("mounts", "links", "tables", "descriptors")
            for line in sorted(getattr(self, kind) - getattr(before, kind))
        ]


def traces() -> Traces:
    """Of this process: its namespace mounts and the namespaces it holds open; of the machine: the
    links and nft tables of the namespace we run in."""
    mounts = (line.split(" - ") for line in Path("/proc/self/mountinfo").read_text().splitlines())
    links = support.run("ip", "-o", "link", "show").stdout.splitlines()
    return Traces(
        mounts=frozenset(left.split()[4] for left, right in mounts if right.startswith("nsfs")),
        links=frozenset(line.split(": ")[1] for line in links),
        tables=frozenset(support.run("nft", "list", "tables").stdout.splitlines()),
        descriptors=frozenset(_namespaces_open()),
    )


def _namespaces_open() -> list[str]:
    found = []
    for each in Path("/proc/self/fd").iterdir():
        try:
            target = str(each.readlink())
        except FileNotFoundError:  # the descriptor that lists the folder
            continue
        if target.startswith("net:["):
            found.append(f"{each.name} → {target}")
    return found
