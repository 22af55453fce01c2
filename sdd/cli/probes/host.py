"""The host as it is: mounts, limits, sysctls, other people's firewalls, daemon.json. Reads only."""

import os
import pwd
import resource
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sdd import errors
from sdd.cli.probes.finding import Finding, Verdict, passed

MOST_FILES = 65536  # two sockets and a few descriptors per sandbox, for thousands of sandboxes
RUN = "/run/sdd"
WORKER = "sdd-dns"


def findings() -> Iterator[Finding]:
    """One finding per thing looked at."""
    yield mounts(Path("/proc/self/mountinfo").read_text(), RUN)
    yield forwarding(Path("/proc/sys/net/ipv4/ip_forward").read_text())
    yield files(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    yield user(WORKER, exists=_has_user(WORKER))
    yield settings()
    if os.geteuid() == 0:
        yield firewall()


def mounts(mountinfo: str, path: str) -> Finding:
    """Whether a mount made below `path` reaches the rest of the host (proc(5), mountinfo)."""
    name = "host.mounts"
    best: tuple[int, str] = (-1, "")
    for line in mountinfo.splitlines():
        words = line.split()
        point = words[4]
        if path == point or path.startswith(point.rstrip("/") + "/"):
            best = max(best, (len(point), " ".join(words[6 : words.index("-")])))
    if "shared:" in best[1]:
        return passed(name, "namespaces that sdd mounts are visible to the whole host")
    return Finding(
        name,
        Verdict.WARN,
        f"mounts below {path} stay in this mount namespace",
        why="`ip netns exec` in another mount namespace finds empty files",
        now="sdctl sandbox exec works here",
        fix="make them shared: mount --make-rshared /",
        commands=("mount --make-rshared /",),
    )


def forwarding(text: str) -> Finding:
    """Whether this host passes packets on."""
    if text.strip() == "1":
        return passed("host.forwarding", "this host forwards IPv4 packets")
    return Finding(
        "host.forwarding",
        Verdict.WARN,
        "this host does not forward IPv4 packets yet",
        why="sandboxes reach the outside through it",
        now="sdd switches it on for its bridges when it makes the first network",
    )


def files(limit: int) -> Finding:
    """Whether the limit of open files is enough for many sandboxes."""
    if limit >= MOST_FILES or limit == resource.RLIM_INFINITY:
        return passed("host.files", f"{limit} files may be open")
    return Finding(
        "host.files",
        Verdict.WARN,
        f"only {limit} files may be open",
        why="each sandbox takes a few",
        fix="the units of sdd raise it; elsewhere: ulimit -n 1048576",
    )


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def user(name: str, *, exists: bool) -> Finding:
    """Whether the DNS worker has a user of its own."""
    if exists:
        return passed("host.user", f"the DNS worker runs as its own user {name}")
    command = f"useradd --system --no-create-home --shell /usr/sbin/nologin {name}"
    return Finding(
        "host.user",
        Verdict.WARN,
        f"there is no user {name}",
        why="the DNS worker, which reads what containers send, has no user of its own",
        now="it runs under a number that no user has, without any capability",
        fix=f"{command}, then restart the worker",
        commands=(command,),
    )


def settings() -> Finding:
    """Whether daemon.json, if there is one, is what sdd would accept."""
    from sdd.config import load
    from sdd.options import DEFAULT_FILE, Options

    name = "config.file"
    if not DEFAULT_FILE.exists():
        return passed(name, f"there is no {DEFAULT_FILE}: the defaults hold")
    try:
        load(Options(settings={}))
    except errors.SddError as error:
        return Finding(
            name, Verdict.FAIL, error.sentence, why="sdd does not start with it", fix=error.hint
        )
    return passed(name, f"{DEFAULT_FILE} is valid")


def firewall() -> Finding:
    """Whether somebody else's rules drop what this host forwards."""
    from sdd.linux.nft import Nft

    name = "net.firewall"
    try:
        with Nft() as nft:
            found = dropping(nft.json("list chains")["nftables"])
    except errors.SddError as error:
        return Finding(name, Verdict.SKIP, f"the rules cannot be read: {error.sentence}")
    if not found:
        return passed(name, "nobody drops all forwarded packets")
    return Finding(
        name,
        Verdict.WARN,
        f"forwarded packets are dropped by default in {', '.join(found)}",
        why="sandboxes do not reach the outside unless those rules let them",
        fix='let traffic of the bridges through there, such as: iifname "br-*" accept',
    )


def dropping(objects: Sequence[dict[str, Any]]) -> list[str]:
    """The foreign chains (nft's JSON) that drop forwarded packets by policy."""
    chains = [each["chain"] for each in objects if "chain" in each]
    return [
        f"{each['family']} {each['table']} {each['name']}"
        for each in chains
        if each.get("hook") == "forward"
        and each.get("policy") == "drop"
        and not each["table"].startswith("sdd")
    ]
