"""Each kernel facility, by doing it in a scratch network namespace; never by looking at lsmod.

In: nothing. Out: findings. A child process makes a namespace of its own and works there, so the
host's links and rules are never touched, and everything is gone when the child ends.
"""

import json
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sdd import errors
from sdd.cli.probes import flows
from sdd.cli.probes.finding import Finding, Verdict, passed
from sdd.linux import libc, netlink

NEWLINK = 16
IFNAME, LINK, LINKINFO, KIND, DATA, PEER = 3, 5, 18, 1, 2, 1  # include/uapi/linux/if_link.h
ANY_LINK = bytes(16)  # struct ifinfomsg
GENL_CTRL, GET_FAMILY, FAMILY_NAME = 16, 3, 2  # include/uapi/linux/genetlink.h
PARENT = "sdd-p0"
MODULES = Path("/lib/modules")


class Facility(NamedTuple):
    """One thing the kernel must be able to do. `needed`: without it sdd cannot do its main job."""

    name: str
    what: str
    needed: bool
    why: str
    now: str
    module: str
    probe: Callable[[], None]


def findings() -> Iterator[Finding]:
    """One finding per facility; one SKIP for all without the privilege to try."""
    if os.geteuid() != 0:
        yield Finding(
            "kernel.all",
            Verdict.SKIP,
            "kernel facilities are tried in a scratch namespace, which needs root",
            fix="run: sudo sdctl doctor",
        )
        return
    problems = _in_scratch()
    if problems is None:
        yield Finding(
            "kernel.netns",
            Verdict.FAIL,
            "no network namespace can be made here",
            why="every sandbox is one",
            fix="run it outside of a container, or give it CAP_SYS_ADMIN and CAP_NET_ADMIN",
        )
        return
    yield passed("kernel.netns", "network namespaces can be made")
    release = os.uname().release
    for each in FACILITIES:
        yield judged(each, problems.get(each.name), release, MODULES)


def judged(each: Facility, problem: str | None, release: str, modules: Path) -> Finding:
    """The finding of one facility; `problem` is what the kernel said against it, None if fine."""
    if problem is None:
        return passed(each.name, f"{each.what} works")
    fix, commands = advice(each.module, release, modules)
    return Finding(
        each.name,
        Verdict.FAIL if each.needed else Verdict.WARN,
        f"{each.what} does not work in this kernel ({release}): {problem}",
        why=each.why,
        now=each.now,
        fix=fix,
        commands=commands,
    )


def advice(module: str, release: str, modules: Path) -> tuple[str, tuple[str, ...]]:
    """What to do about a missing module: load it, reboot, or use another kernel."""
    folder = modules / release
    if not folder.is_dir():
        why = f"{folder} is not there: reboot if the kernel was upgraded"
        return f"{why}, or use a kernel that has {module}", ()
    listed = "".join(
        (folder / name).read_text(errors="replace")
        for name in ("modules.dep", "modules.builtin")
        if (folder / name).is_file()
    )
    if f"/{module}.ko" in listed.replace("-", "_"):
        return f"load it: modprobe {module}", (f"modprobe {module}",)
    return f"use a kernel that has {module}", ()


# --- the child ----------------------------------------------------------------------------------


def _in_scratch() -> dict[str, str] | None:
    """Facility → what the kernel said against it; None when not even a namespace can be made."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            libc.unshare_network()
            with os.fdopen(writing, "w") as file:
                json.dump(_tried(FACILITIES), file)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    _, status = os.waitpid(child, 0)
    return json.loads(text) if status == 0 else None


def _tried(facilities: Sequence[Facility]) -> dict[str, str]:
    problems = {}
    for each in facilities:
        try:
            each.probe()
        except errors.SddError as error:
            problems[each.name] = error.sentence
        except OSError as exc:
            problems[each.name] = (exc.strerror or str(exc)).lower()
    return problems


def _link(kind: str, name: str, data: bytes = b"", parent: str = "") -> None:
    attributes = netlink.text(IFNAME, name)
    if parent:
        attributes += netlink.u32(LINK, socket.if_nametoindex(parent))
    info = netlink.text(KIND, kind) + (netlink.nested(DATA, data) if data else b"")
    body = ANY_LINK + attributes + netlink.nested(LINKINFO, info)
    with netlink.Connection(netlink.ROUTE) as connection:
        message = netlink.Message(NEWLINK, netlink.CREATE | netlink.EXCL, body)
        (result,) = connection.request((message,))
    if result.error:
        raise errors.KernelRefused(str(result).lower())


def _veth() -> None:
    peer = netlink.nested(PEER, ANY_LINK + netlink.text(IFNAME, "sdd-p1"))
    _link("veth", PARENT, peer)


def _vxlan() -> None:
    _link("vxlan", "sdd-p2", netlink.u32(1, 4096))  # IFLA_VXLAN_ID


def _macvlan() -> None:
    _link("macvlan", "sdd-p3", netlink.u32(1, 4), PARENT)  # mode bridge


def _ipvlan() -> None:
    _link("ipvlan", "sdd-p4", netlink.u16(1, 0), "sdd-p1")  # mode l2


def _vlan() -> None:
    _link("vlan", "sdd-p5", netlink.u16(1, 100), PARENT)  # IFLA_VLAN_ID


def _nft(text: str) -> Callable[[], None]:
    def probe() -> None:
        from sdd.linux.nft import Nft

        with Nft() as nft:
            nft.run(text)

    return probe


def _ipvs() -> None:
    body = struct.pack("=BBH", GET_FAMILY, 1, 0) + netlink.text(FAMILY_NAME, "IPVS")
    with netlink.Connection(netlink.GENERIC) as connection:
        (result,) = connection.request((netlink.Message(GENL_CTRL, 0, body),))
    if result.error:
        raise errors.KernelRefused("it has no family IPVS")


NAT = """
table inet sdd-probe-nat {
  map ports {
    type inet_proto . inet_service : verdict
  }
  chain out {
    type nat hook postrouting priority srcnat
    ip saddr 10.0.0.0/8 masquerade
  }
  chain in {
    type nat hook prerouting priority dstnat
    meta l4proto . th dport vmap @ports
  }
}
"""
RAW = """
table inet sdd-probe-raw {
  chain out {
    type filter hook output priority raw
    udp dport 53 notrack udp dport set 5353
  }
}
"""
SPREAD = """
table ip sdd-probe-lb {
  chain out {
    type nat hook output priority -100
    ip daddr 10.0.0.1 dnat to numgen inc mod 2 map { 0 : 10.0.0.2, 1 : 10.0.0.3 }
    ip daddr 10.0.0.4 dnat to jhash ip saddr mod 2 map { 0 : 10.0.0.2, 1 : 10.0.0.3 }
  }
}
"""
FIB = """
table inet sdd-probe-fib {
  chain in {
    type nat hook prerouting priority dstnat
    fib daddr type local accept
  }
}
"""
# Of a link that is not there: the other probes' packets come through.
REJECT = """
table inet sdd-probe-reject {
  chain in {
    type filter hook input priority 0
    iifname "sdd-none" meta l4proto tcp reject with tcp reset
    iifname "sdd-none" reject with icmpx type port-unreachable
  }
}
"""
# As lb.kernel.refusals has it.
LOG = """
table inet sdd-probe-log {
  flags owner
  set told {
    type ipv4_addr
    flags dynamic,timeout
    timeout 10s
  }
  chain in {
    type filter hook forward priority 0
    tcp flags & rst == rst update @told { ip saddr limit rate 4/second } log group 23902 snaplen 64
  }
}
"""
NAMES_LOST = "sandboxes cannot reach their DNS server on port 53"

FACILITIES: Sequence[Facility] = (
    Facility(
        "kernel.bridge",
        "a bridge",
        True,
        "networks of driver bridge are bridges",
        "",
        "bridge",
        lambda: _link("bridge", "sdd-p6"),
    ),
    Facility(
        "kernel.veth", "a veth pair", True, "it is each sandbox's interface", "", "veth", _veth
    ),
    Facility(
        "kernel.nftables",
        "address translation by nftables",
        True,
        "networks have no way out without it",
        "",
        "nft_masq",
        _nft(NAT),
    ),
    Facility(
        "kernel.nft_raw",
        "rewriting ports without conntrack",
        True,
        NAMES_LOST,
        "",
        "nft_ct",
        _nft(RAW),
    ),
    Facility(
        "kernel.nft_fib",
        "telling the host's own addresses by nftables",
        False,
        "published ports lead nowhere",
        "",
        "nft_fib_inet",
        _nft(FIB),
    ),
    Facility(
        "kernel.nft_reject",
        "refusing by nftables",
        False,
        "ports cannot be published, and virtual IPs cannot be balanced by nftables",
        "",
        "nft_reject_inet",
        _nft(REJECT),
    ),
    Facility(
        "kernel.nft_log",
        "logging packets by nftables",
        False,
        "members that refuse connections are not noticed at once (`lb.no_refusals` in the log)",
        "counters and health checks tell of them, later",
        "nfnetlink_log",
        _nft(LOG),
    ),
    Facility(
        "kernel.conntrack",
        "the list of connections",
        False,
        "UDP clients of a port or virtual IP stay with a backend that is gone until they pause",
        "members that leave are drained for as long as was said, connections or not",
        "nf_conntrack_netlink",
        flows.conntrack,
    ),
    Facility(
        "kernel.sctp",
        "SCTP through a published port",
        False,
        "ports published with /sctp lead nowhere",
        "",
        "sctp",
        flows.sctp,
    ),
    Facility(
        "kernel.ipvs",
        "IPVS",
        False,
        "lb-backend ipvs cannot be used",
        "virtual IPs are balanced by nftables, with fewer schedulers",
        "ip_vs",
        _ipvs,
    ),
    Facility(
        "kernel.nft_spread",
        "spreading by nftables",
        False,
        "lb-backend nftables cannot be used",
        "virtual IPs need IPVS",
        "nft_numgen",
        _nft(SPREAD),
    ),
    Facility(
        "kernel.vxlan", "vxlan", False, "overlay networks cannot be made", "", "vxlan", _vxlan
    ),
    Facility(
        "kernel.macvlan",
        "macvlan",
        False,
        "networks of driver macvlan cannot be made",
        "",
        "macvlan",
        _macvlan,
    ),
    Facility(
        "kernel.ipvlan",
        "ipvlan",
        False,
        "networks of driver ipvlan cannot be made",
        "",
        "ipvlan",
        _ipvlan,
    ),
    Facility(
        "kernel.vlan",
        "802.1Q VLAN",
        False,
        "a parent such as eth0.100 cannot be made",
        "",
        "8021q",
        _vlan,
    ),
)
