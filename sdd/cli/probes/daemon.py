"""The daemon behind the socket: does it answer, is all as wanted, is it of the same release."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sdd import errors
from sdd.cli.probes.finding import Finding, Verdict, passed
from sdd.client import Client


def findings(client: Client, release: str) -> Iterator[Finding]:
    """One finding per thing asked; only one when nobody answers."""
    try:
        status = client.get("/v1/status")
    except errors.SddError as error:
        yield Finding(
            "daemon.socket",
            Verdict.FAIL,
            error.sentence,
            why="nothing can be made or changed",
            now="names and virtual IPs that exist go on working",
            fix=error.hint,
        )
        return
    yield passed("daemon.socket", f"sdd {status['Version']} answers, state {status['State']}")
    yield state(status)
    yield hearing(status)
    yield refusals(status)
    nets, boxes = client.get("/v1/networks"), client.get("/v1/sandboxes")
    yield searching(boxes, nets)
    yield unread(boxes, nets)
    yield overruling(boxes)
    yield hiding(nets)
    yield leading(client.get("/v1/dns/records"))
    yield asking(boxes, nets)
    yield answering(client.get("/v1/dns/upstreams"))
    if status["Version"] == release:
        yield passed("daemon.version", f"sdctl and sdd are both {release}")
    else:
        yield Finding(
            "daemon.version",
            Verdict.WARN,
            f"sdctl is {release}, sdd is {status['Version']}",
            why="they may understand each other only in part",
            fix="systemctl restart sdd",
            commands=("systemctl restart sdd",),
        )


def hearing(status: dict[str, Any]) -> Finding:
    """Whether the daemon hears what is changed inside sandboxes."""
    lacks = status["MissingCapabilities"]
    if not lacks:
        return passed("daemon.hearing", "sdd hears what is changed inside sandboxes")
    return Finding(
        "daemon.hearing",
        Verdict.WARN,
        f"sdd runs without {', '.join(lacks)}",
        why="it does not hear what is changed by hand inside sandboxes",
        now="it looks there every 20 s and puts right what it finds",
        fix=f"add {' '.join(lacks)} to CapabilityBoundingSet of sdd.service: install the newest"
        " unit, then systemctl daemon-reload and systemctl restart sdd; in a container give it that"
        " capability in the user namespace that owns the network",
    )


def refusals(status: dict[str, Any]) -> Finding:
    """Whether the daemon hears who refuses connections."""
    why = status.get("RefusalsUnheard", "")  # a daemon of an older release does not tell
    if not why:
        return passed("daemon.refusals", "sdd hears at once which member refuses connections")
    return Finding(
        "daemon.refusals",
        Verdict.WARN,
        f"sdd does not hear who refuses connections: {why}",
        why="a member whose process ended is noticed by checks and counters only, within seconds",
        now="it is looked at as often as --health says, and whenever its counters stand out",
        fix="the kernel needs nfnetlink_log and nft_log, and in one network namespace a single sdd"
        " can have them; then systemctl restart sdd",
    )


def searching(boxes: list[dict[str, Any]], nets: list[dict[str, Any]]) -> Finding:
    """Whether some sandbox has a search list that musl will not use."""
    with_search = {net["Name"] for net in nets if net["Dns"]["Search"]}
    found = [box["Name"] for box in boxes if _is_searching(box, with_search)]
    if not found:
        return passed("daemon.search", "no search list depends on the C library")
    return Finding(
        "daemon.search",
        Verdict.WARN,
        f"{len(found)} sandboxes have a search list and ndots:0; the first: {found[0]}",
        why="musl (Alpine) never uses a search list then; glibc does for names that are not found",
        fix="if programs there use musl: --dns-opt ndots:1",
    )


def unread(boxes: list[dict[str, Any]], nets: list[dict[str, Any]]) -> Finding:
    """Whether some sandbox has a search list that is too long for musl, whatever its options."""
    of_nets = {net["Name"]: net["Dns"]["Search"] for net in nets}
    found = [box["Name"] for box in boxes if _search_length(box, of_nets) > _MOST_SEARCH]
    if not found:
        return passed("daemon.searchline", "every search list is short enough for every C library")
    return Finding(
        "daemon.searchline",
        Verdict.WARN,
        f"{len(found)} sandboxes have a search line of more than {_MOST_SEARCH} characters; the"
        f" first: {found[0]}",
        why="musl (Alpine) takes no note of such a line: programs there have no search list",
        fix="give fewer or shorter domains (--dns-search); those of a sandbox's networks add up",
    )


def overruling(boxes: list[dict[str, Any]], folder: Path = Path("/etc/netns")) -> Finding:
    """Whether `ip netns exec` gives programs a file of somebody else instead of ours."""
    wanted = {
        folder / Path(box["Netns"]).name / name: Path(box[key])
        for box in boxes
        if Path(box["Netns"]).parent.name == "netns" and box["WriteResolvConf"] != "never"
        for name, key in (("resolv.conf", "ResolvConfPath"), ("hosts", "HostsPath"))
    }
    found = [
        file
        for file, ours in wanted.items()
        if os.path.lexists(file) and file.resolve() != ours.resolve()
    ]
    if not found:
        return passed("daemon.files", "ip netns exec finds the files of sdd")
    return Finding(
        "daemon.files",
        Verdict.WARN,
        f"{len(found)} files of somebody else win over those of sdd; the first: {found[0]}",
        why="what `ip netns exec` starts does not ask the DNS server of its sandbox",
        now="sdctl sandbox exec gives programs the files of sdd",
        fix="remove what nobody needs; sdd puts its own there within 30 s",
    )


def hiding(nets: list[dict[str, Any]]) -> Finding:
    """Whether some network hides a domain or a name server of others."""
    found = {net["Name"]: net["Warning"] for net in nets if net.get("Warning")}
    if not found:
        return passed("daemon.hiding", "no network hides names or name servers of others")
    return Finding(
        "daemon.hiding",
        Verdict.WARN,
        f"networks are in the way of names of others: {', '.join(found)}",
        why=next(iter(found.values())),
        fix="make them again, as each one's Warning says: sdctl network inspect NAME",
    )


def leading(records: list[dict[str, Any]]) -> Finding:
    """Whether some record leads to a name that its network does not have."""
    found = [each for each in records if each.get("Warning")]
    if not found:
        return passed("daemon.records", "every record leads to a name that its network has")
    first = found[0]
    return Finding(
        "daemon.records",
        Verdict.WARN,
        f"{len(found)} records lead to names that their networks do not have; the first:"
        f" {first['Name']} {first['Type']} {first['Data']} of network {first['Network']}",
        why=first["Warning"],
        now="it begins to lead there when a sandbox, a service or a record gets that name",
        fix="remove it, or add it with the name meant: sdctl dns record rm|add",
    )


def asking(boxes: list[dict[str, Any]], nets: list[dict[str, Any]]) -> Finding:
    """Whether somebody was given a name server that is never asked; older releases took such."""
    given = {
        f"{kind} {each['Name']}": [*each["Dns"]["Servers"], *each["Dns"].get("ForwardZones", ())]
        for kind, those in (("sandbox", boxes), ("network", nets))
        for each in those
    }
    found = {who: [each for each in servers if "%" in each] for who, servers in given.items()}
    found = {who: servers for who, servers in found.items() if servers}
    if not found:
        return passed("daemon.servers", "every name server that was given can be asked")
    who, servers = next(iter(found.items()))
    return Finding(
        "daemon.servers",
        Verdict.WARN,
        f"{len(found)} sandboxes or networks have servers that name a link; the first: {who},"
        f" {', '.join(servers)}",
        why="what follows % is a link of the host, which no sandbox has: they are never asked",
        fix="make them again with addresses that routes lead to",
    )


def answering(servers: list[dict[str, Any]]) -> Finding:
    """Whether somebody answers for names of others, wherever they are asked from."""
    sets: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for each in servers:
        for zone in each["Zones"]:
            sets.setdefault((each["From"], zone), []).append(each)
    down = [
        (place, those)
        for place, those in sets.items()
        if all(each["State"] in _SILENT for each in those)
    ]
    if not down:
        return passed("daemon.upstreams", "no list of upstream servers is down as a whole")
    (where, zone), those = min(down, key=lambda each: each[0] != (_HOST, "."))
    whose = "the host" if where == _HOST else f"inside {where}"
    what = "names of others" if zone == "." else f"names in {zone}"
    told = ", ".join(f"{each['Address']} ({each['LastError'] or 'timeout'})" for each in those)
    more = f"; {len(down) - 1} other lists are down too" if len(down) > 1 else ""
    return Finding(
        "daemon.upstreams",
        Verdict.WARN,
        f"nobody answers for {what}, asked from {whose}: {told}{more}",
        why="look-ups of what is not of our networks fail there (SERVFAIL) or get old answers",
        now="names of sandboxes and services are answered; the servers are tried again and again",
        fix=_AWAY if all(each["LastError"].startswith("unreachable") for each in those) else _DEAD,
    )


_AWAY = (
    "no way leads there: look at its routes and firewall (who is only on internal networks has no"
    " way out), or give servers that it reaches"
)
_DEAD = (
    "see whether they run and can be reached: sdctl dns upstream ls; or give others (--dns,"
    " dns in daemon.json, the host's resolv.conf)"
)
_HOST = "host"  # where the servers of the host, and of the daemon's settings, are asked from
_SILENT = frozenset({"down", "due"})


def _is_searching(box: dict[str, Any], with_search: set[str]) -> bool:
    search, options = box["Dns"]["Search"], box["Dns"]["Options"]
    if search == ["."] or any(re.fullmatch(r"ndots:[1-9]\d*", each) for each in options):
        return False
    return bool(search or with_search & box["Networks"].keys())


_MOST_SEARCH = 254  # as resolver.files.resolvconf has it, which no command imports


def _search_length(box: dict[str, Any], of_nets: dict[str, list[str]]) -> int:
    """Of the line in its file, which may come of the daemon's or the host's; else as given."""
    try:
        lines = Path(box["ResolvConfPath"]).read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    if there := [len(each) for each in lines if each.startswith("search ")]:
        return max(there)
    given = box["Dns"]["Search"] or [
        each for net in box["Networks"] for each in of_nets.get(net, ())
    ]
    return len(" ".join(("search", *dict.fromkeys(each for each in given if each != "."))))


def _counted(failures: list[dict[str, Any]]) -> str:
    reasons = len({(each["Error"], each["Code"]) for each in failures})
    objects = f"{len(failures)} objects are not as wanted"
    return objects if reasons == len(failures) else f"{objects}, for {reasons} reasons"


def state(status: dict[str, Any]) -> Finding:
    """Whether every backend has made what it should."""
    failures = [each for backend in status["Backends"] for each in backend["Failures"]]
    if failures:
        return Finding(
            "daemon.state",
            Verdict.FAIL,
            f"{_counted(failures)}; the first: {failures[0]['Error']}",
            why="what depends on them does not work",
            now="sdd tries again by itself",
            fix=failures[0]["Hint"] or "sdctl status lists them",
        )
    silent = [each["Name"] for each in status["Backends"] if not each["Reported"]]
    if silent:
        return Finding("daemon.state", Verdict.WARN, f"still at the first pass: {silent}")
    return passed("daemon.state", "everything is as wanted")
