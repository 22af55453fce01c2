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
IPV4 = Path("/proc/sys/net/ipv4")
TRACKED = Path("/proc/sys/net/netfilter")
FULL = 0.9  # of the table of connections
WORKER = "sdd-dns"


def findings() -> Iterator[Finding]:
    """One finding per thing looked at."""
    yield mounts(Path("/proc/self/mountinfo").read_text(), RUN)
    yield forwarding((IPV4 / "ip_forward").read_text())
    yield uplinks(Path("/proc/net/route").read_text(), IPV4)
    yield files(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    if (TRACKED / "nf_conntrack_max").exists():
        count, most = (
            int((TRACKED / f"nf_conntrack_{each}").read_text()) for each in ("count", "max")
        )
        yield flows(count, most)
    yield user(WORKER, exists=_has_user(WORKER))
    yield settings()
    if os.geteuid() == 0:
        yield from firewall()


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


def uplinks(routes: str, settings: Path) -> Finding:
    """Whether replies from outside are passed on: `routes` as proc(5), net/route, has them."""
    name = "net.uplinks"
    rows = [line.split() for line in routes.splitlines()[1:]]
    found = {row[0] for row in rows if row[1] == row[7] == "0" * 8 and row[0] != "*"}
    forwards = {each: settings / "conf" / each / "forwarding" for each in sorted(found)}
    closed = [each for each, file in forwards.items() if file.exists() and _is_off(file)]
    if not closed or _is_off(settings / "ip_forward"):  # sdd switches on all of them at once
        return passed(name, "what comes in over the default routes is passed on")
    commands = tuple(
        f"sysctl -w net.ipv4.conf.{each.replace('.', '/')}.forwarding=1" for each in closed
    )
    return Finding(
        name,
        Verdict.WARN,
        f"IPv4 packets that come in over {', '.join(closed)} are not passed on",
        why="replies from outside do not reach sandboxes; the link's own forwarding is off",
        fix=f"{'; '.join(commands)}, and where it was switched off (IPv4Forwarding= of networkd)",
        commands=commands,
    )


def _is_off(file: Path) -> bool:
    return file.read_text().strip() == "0"


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


def flows(count: int, most: int) -> Finding:
    """Whether the host's table of connections has room: `most` 0 is no bound (nf_conntrack)."""
    if not most or count < FULL * most:
        return passed("host.flows", f"{count} connections are tracked, of {most or 'any number'}")
    return Finding(
        "host.flows",
        Verdict.WARN,
        f"{count} connections are tracked, of {most} at most",
        why="what is new is dropped then: published ports, sandboxes on their way out, and health"
        " checks, so that members are down that are well",
        fix=f"give it room: sysctl -w net.netfilter.nf_conntrack_max={4 * most}",
        commands=(f"sysctl -w net.netfilter.nf_conntrack_max={4 * most}",),
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


def firewall() -> Iterator[Finding]:
    """Whether somebody else's rules drop what this host forwards, and whether ours do."""
    from sdd.linux.nft import Nft

    try:
        with Nft() as nft:
            chains = nft.json("list chains")["nftables"]
            try:
                sets = nft.json(f"list set {GUARDED}")["nftables"]
            except errors.KernelRefused:
                sets = []  # no network of sdd is there
    except errors.SddError as error:
        yield Finding("net.firewall", Verdict.SKIP, f"the rules cannot be read: {error.sentence}")
        return
    yield dropping(chains)
    yield guarding(sets, chains)


GUARDED = "inet sdd guarded"


def dropping(objects: Sequence[dict[str, Any]]) -> Finding:
    """Whether foreign chains (nft's JSON) drop forwarded packets by policy."""
    name = "net.firewall"
    found = [each for each in _forwarding(objects) if each.get("policy") == "drop"]
    if not found:
        return passed(name, "no rules of others drop all forwarded packets")
    return Finding(
        name,
        Verdict.WARN,
        f"forwarded packets are dropped by default in {_listed(found)}",
        why="sandboxes do not reach the outside unless those rules let them",
        fix='let traffic of the bridges through there, such as: iifname "br-*" accept',
    )


def guarding(sets: Sequence[dict[str, Any]], chains: Sequence[dict[str, Any]]) -> Finding:
    """Whether sdd itself drops forwarded packets that have nothing to do with it (nft's JSON)."""
    name = "net.guard"
    versions = [
        each.replace("ipv", "IPv")
        for one in sets
        for each in one.get("set", {}).get("elem", ())
        if isinstance(each, str)
    ]
    if not versions:
        return passed(name, "sdd drops no forwarded packets of others")
    says = f"sdd drops forwarded {' and '.join(versions)} packets that are not of its networks"
    why = "this host forwarded nothing before sdd switched it on, and is to be nobody's router"
    others = _forwarding(chains)
    if not others:
        return Finding(name, Verdict.PASS, says, why=why, fix=NO_GUARD)
    return Finding(
        name,
        Verdict.WARN,
        f"{says}, and somebody has rules for some in {_listed(others)}",
        why=f"{why}; what forwards besides (Docker, libvirt, a VPN) has no way through",
        fix=NO_GUARD,
    )


NO_GUARD = (
    "if it is to forward for others: write net.ipv4.ip_forward=1 (net.ipv6.conf.all.forwarding=1)"
    " to a file in /etc/sysctl.d, so that it is on before sdd starts, and reboot"
)


def _forwarding(objects: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The foreign chains for forwarded packets."""
    chains = [each["chain"] for each in objects if "chain" in each]
    return [
        each
        for each in chains
        if each.get("hook") == "forward" and not each["table"].startswith("sdd")
    ]


def _listed(chains: Sequence[dict[str, Any]]) -> str:
    return ", ".join(f"{each['family']} {each['table']} {each['name']}" for each in chains)
