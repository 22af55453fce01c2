"""What doctor makes of what the daemon tells."""

from pathlib import Path
from typing import Any

from sdd.cli.probes import daemon
from sdd.cli.probes.finding import Verdict


def test_files_of_others_are_warned_of_where_ip_netns_looks(tmp_path: Path) -> None:
    (tmp_path / "etc/web").mkdir(parents=True)
    own = tmp_path / "data/resolv.conf"
    box: dict[str, Any] = {
        "Netns": "/run/sdd/netns/web",
        "WriteResolvConf": "auto",
        "ResolvConfPath": str(own),
        "HostsPath": str(own.with_name("hosts")),
    }
    of_process = box | {"Netns": "/proc/7/ns/web"}
    never = box | {"WriteResolvConf": "never"}
    link = tmp_path / "etc/web/resolv.conf"
    link.symlink_to(own)
    assert daemon.overruling([box], tmp_path / "etc").verdict is Verdict.PASS
    link.unlink()
    link.write_text("nameserver 192.0.2.1")
    found = daemon.overruling([box], tmp_path / "etc")
    assert (found.verdict, str(link) in found.says) == (Verdict.WARN, True)
    assert daemon.overruling([of_process, never], tmp_path / "etc").verdict is Verdict.PASS


def test_a_daemon_that_does_not_hear_refusals_is_warned_of() -> None:
    assert daemon.refusals({"RefusalsUnheard": ""}).verdict is Verdict.PASS
    found = daemon.refusals({"RefusalsUnheard": "Device or resource busy"})
    assert (found.verdict, "Device or resource busy" in found.says) == (Verdict.WARN, True)


def test_a_daemon_that_hears_nothing_inside_sandboxes_is_warned_of() -> None:
    assert daemon.hearing({"MissingCapabilities": []}).verdict is Verdict.PASS
    found = daemon.hearing({"MissingCapabilities": ["CAP_NET_BROADCAST"]})
    assert (found.verdict, "CAP_NET_BROADCAST" in found.fix) == (Verdict.WARN, True)


def test_servers_that_name_a_link_are_warned_of() -> None:
    def one(name: str, *servers: str, zones: tuple[str, ...] = ()) -> dict[str, Any]:
        return {"Name": name, "Dns": {"Servers": servers, "ForwardZones": zones}}

    plain = one("plain", "fe80::1", zones=("corp=10.0.0.53",))
    assert daemon.asking([plain], [plain]).verdict is Verdict.PASS
    for bad in (one("old", "fe80::1%eth0"), one("old", zones=("corp=tls://[fe80::1%eth0]",))):
        found = daemon.asking([plain, bad], [bad])
        assert found.verdict is Verdict.WARN
        assert found.says.startswith("2 ")
        assert "sandbox old" in found.says


def test_lists_of_servers_that_are_all_down_are_warned_of() -> None:
    def one(address: str, state: str, place: str = "host", zone: str = ".") -> dict[str, Any]:
        return {
            "Address": address,
            "State": state,
            "From": place,
            "Zones": [zone],
            "LastError": "tls: certificate has expired" if state == "down" else "",
        }

    well = [one("192.0.2.1", "down"), one("192.0.2.2", "up"), one("192.0.2.3", "new", "web")]
    assert daemon.answering(well).verdict is Verdict.PASS
    assert daemon.answering([]).verdict is Verdict.PASS
    gone = {**one("192.0.2.9", "down"), "Zones": []}  # nobody would ask it any more
    assert daemon.answering([gone]).verdict is Verdict.PASS
    found = daemon.answering(
        [
            one("10.0.0.9", "down", "web", "corp.test"),
            *(one("192.0.2.1", "down"), one("192.0.2.2", "due")),
        ]
    )
    assert found.verdict is Verdict.WARN
    assert found.says == (
        "nobody answers for names of others, asked from the host: 192.0.2.1 (tls: certificate has"
        " expired), 192.0.2.2 (timeout); 1 other lists are down too"
    )
    away = {**one("192.0.2.1", "down"), "LastError": "unreachable: Network is unreachable"}
    assert "no way leads there" in daemon.answering([away]).fix
    assert "no way leads there" not in found.fix


def test_search_lists_that_are_too_long_for_musl_are_warned_of(tmp_path: Path) -> None:
    nets: list[dict[str, Any]] = [
        {"Name": name, "Dns": {"Search": [f"{name}{n}.some.long.example.com" for n in range(6)]}}
        for name in ("red", "blue")
    ]

    def box(*on: str, search: tuple[str, ...] = ()) -> dict[str, Any]:
        there = {"ResolvConfPath": str(tmp_path / "resolv.conf"), "Dns": {"Search": search}}
        return {"Name": "web", "Networks": {each: {} for each in on}, **there}

    assert daemon.unread([box("red"), box("blue"), box()], nets).verdict is Verdict.PASS
    assert daemon.unread([box("red", "blue", search=("a.test",))], nets).verdict is Verdict.PASS
    found = daemon.unread([box("red", "blue")], nets)
    assert (found.verdict, "web" in found.says) == (Verdict.WARN, True)
    # What is in the file counts: its list may come of the daemon's settings, or the host's file.
    for length, verdict in ((247, Verdict.PASS), (248, Verdict.WARN)):
        line = f"search {'a' * length}"
        (tmp_path / "resolv.conf").write_text(f"nameserver 127.0.0.11\n{line}\n")
        assert daemon.unread([box()], nets).verdict is verdict
