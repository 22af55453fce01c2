import resource
from pathlib import Path
from typing import Any

import pytest

from sdd import options
from sdd.cli.probes import host
from sdd.cli.probes.finding import Verdict

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /run rw,nosuid shared:5 - tmpfs tmpfs rw
31 30 0:26 / /run/sdd rw - tmpfs tmpfs rw
32 30 0:27 / /run/sddish rw shared:9 - tmpfs tmpfs rw
"""


def test_the_closest_mount_decides_whether_it_is_shared() -> None:
    assert host.mounts(MOUNTS, "/run/lib").verdict is Verdict.PASS
    assert host.mounts(MOUNTS, "/var/lib").verdict is Verdict.PASS
    found = host.mounts(MOUNTS, "/run/sdd/netns")
    assert found.verdict is Verdict.WARN
    assert found.commands == ("mount --make-rshared /",)


def test_forwarding_and_files() -> None:
    assert host.forwarding("1\n").verdict is Verdict.PASS
    assert host.forwarding("0\n").verdict is Verdict.WARN
    assert host.files(1048576).verdict is Verdict.PASS
    assert host.files(resource.RLIM_INFINITY).verdict is Verdict.PASS
    assert host.files(1024).verdict is Verdict.WARN


def test_a_full_table_of_connections_is_warned_of() -> None:
    assert host.flows(899, 1000).verdict is Verdict.PASS
    assert host.flows(899, 0).verdict is Verdict.PASS
    found = host.flows(900, 1000)
    assert found.verdict is Verdict.WARN
    assert found.commands == ("sysctl -w net.netfilter.nf_conntrack_max=4000",)


ROUTES = """\
Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0 00000000 0101A8C0 0003 0 0 0 00000000 0 0 0
eth1.7 00000000 0102A8C0 0003 0 0 9 00000000 0 0 0
eth2 0003A8C0 00000000 0001 0 0 0 00FFFFFF 0 0 0
gone 00000000 00000000 0001 0 0 0 00000000 0 0 0
"""


def test_a_link_of_a_default_route_that_does_not_forward_is_told(tmp_path: Path) -> None:
    (tmp_path / "ip_forward").write_text("1\n")
    for link, value in {"eth0": 1, "eth1.7": 1, "eth2": 0}.items():
        (tmp_path / "conf" / link).mkdir(parents=True)
        (tmp_path / "conf" / link / "forwarding").write_text(f"{value}\n")
    assert host.uplinks(ROUTES, tmp_path).verdict is Verdict.PASS
    (tmp_path / "conf/eth1.7/forwarding").write_text("0\n")
    found = host.uplinks(ROUTES, tmp_path)
    assert found.verdict is Verdict.WARN
    assert " eth1.7 " in found.says
    assert found.commands == ("sysctl -w net.ipv4.conf.eth1/7.forwarding=1",)
    (tmp_path / "ip_forward").write_text("0\n")
    assert host.uplinks(ROUTES, tmp_path).verdict is Verdict.PASS


def chain(**values: str) -> dict[str, dict[str, str]]:
    base = {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward"}
    return {"chain": base | {"policy": "drop"} | values}


def test_only_foreign_chains_that_drop_forwarded_packets_count() -> None:
    found = host.dropping([{"metainfo": {}}, chain()])
    assert found.verdict is Verdict.WARN
    assert found.says.endswith(" in ip filter FORWARD")
    harmless = [chain(policy="accept"), chain(hook="input"), chain(table="sdd")]
    assert host.dropping(harmless).verdict is Verdict.PASS


def test_our_own_guard_is_told_and_warned_of_where_others_forward() -> None:
    guard: list[dict[str, Any]] = [
        {"metainfo": {}},
        {"set": {"name": "guarded", "elem": ["ipv4", "ipv6"]}},
    ]
    ours = chain(table="sdd", family="inet")
    empty = host.guarding([{"set": {"name": "guarded"}}], [chain(), ours])
    assert (empty.verdict, empty.says) == (Verdict.PASS, "sdd drops no forwarded packets of others")
    assert host.guarding([], [ours]).says == empty.says
    alone = host.guarding(guard, [ours])
    assert alone.verdict is Verdict.PASS
    assert alone.says == "sdd drops forwarded IPv4 and IPv6 packets that are not of its networks"
    beside = host.guarding(guard, [ours, chain(policy="accept")])
    assert (beside.verdict, "ip filter FORWARD" in beside.says) == (Verdict.WARN, True)
    assert "net.ipv4.ip_forward=1" in beside.fix


def test_a_wrong_daemon_json_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "daemon.json"
    monkeypatch.setattr(options, "DEFAULT_FILE", path)
    monkeypatch.setattr("sdd.config.DEFAULT_FILE", path)
    assert host.settings().verdict is Verdict.PASS
    path.write_text('{"colour": "red"}')
    found = host.settings()
    assert found.verdict is Verdict.FAIL
    assert '"colour"' in found.says
    path.write_text('{"debug": true}')
    assert "is valid" in host.settings().says


def test_the_dns_worker_wants_a_user_of_its_own() -> None:
    assert host.user("sdd-dns", exists=True).verdict is Verdict.PASS
    found = host.user("sdd-dns", exists=False)
    assert found.verdict is Verdict.WARN
    assert found.commands == (
        "useradd --system --no-create-home --shell /usr/sbin/nologin sdd-dns",
    )
