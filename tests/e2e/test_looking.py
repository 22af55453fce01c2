"""People look without changing anything: verify, doctor, status, metrics."""

import re

from sdd import defects as defects_of
from tests.e2e.appliance import BIN, Appliance, until


def test_verify_finds_nothing_when_all_is_well_and_names_what_is_not(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "lab", "--subnet", "10.95.0.0/24")
    daemon.sandbox("web1", "--network", "lab")
    daemon.sandbox("client", "--network", "lab")
    daemon.sdctl("service", "create", "web", "--network", "lab")
    daemon.sdctl("service", "join", "web", daemon.name("web1"))
    done = daemon.sdctl("verify", check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_verify_sees_a_sandbox_that_was_removed_by_hand(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "broken")
    name = daemon.sandbox("lost", "--network", "broken")
    daemon.on_host("umount", "-l", f"{daemon.root}/exec/netns/{name}")
    until(
        lambda: daemon.sdctl("verify", check=False).returncode == 0,
        120,
        "the namespace is made again",
    )


def test_the_doctor_finds_what_this_host_can_do(daemon: Appliance) -> None:
    rows = daemon.json("doctor", "--only", "kernel", "--only", "daemon")
    found = {row["Name"]: row["Verdict"] for row in rows}
    for name in ("kernel.bridge", "kernel.veth", "kernel.nftables", "daemon.socket"):
        assert found[name] == "PASS"
    assert "IPVS" in daemon.sdctl("doctor", "--only", "kernel").stdout


def test_status_says_what_there_is(daemon: Appliance) -> None:
    (status,) = daemon.json("status")
    assert status["State"] in {"ready", "degraded"}
    assert status["Balancer"] in {"ipvs", "nftables"}
    assert status["BalancerWhy"]
    assert status["Networks"] >= 1


def test_the_page_counts_objects_commands_and_questions(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "counted")
    daemon.sandbox("asks", "--network", "counted")
    daemon.sdctl("dns", "query", "asks", "--from", daemon.name("asks"))
    socket = daemon.url.removeprefix("unix://")

    def values() -> dict[str, str]:
        page = daemon.on_host("curl", "-s", "--unix-socket", socket, "http://sdd/metrics").stdout
        return dict(re.findall(r"^(sdd_\S+) (\S+)$", page, re.MULTILINE))

    asked = 'sdd_dns_requests_total{family="ipv4",network="counted",proto="udp",type="A"}'
    # A scrape waits for the worker's counts for a second, and tells the last ones otherwise.
    until(lambda: float(values().get(asked, 0)) >= 1, 60, "the question is counted")
    action = 'sdd_command_duration_seconds_count{action="network_create",result="ok"}'
    told = values()
    assert float(told['sdd_networks{driver="bridge"}']) >= 2
    assert float(told['sdd_reconcile_passes_total{kind="netns"}']) >= 1
    assert float(told[action]) >= 1
    # Whatever this daemon was put through before.
    defects = {each: value for each, value in told.items() if "_defects_total" in each}
    assert len(defects) == len(defects_of.Unit)
    assert set(map(float, defects.values())) == {0.0}


def test_the_doctor_tells_what_of_others_is_dropped(daemon: Appliance) -> None:
    """The host of a test forwards nothing by itself, so sdd guards it."""
    doctor = (str(BIN / "sdctl"), "-H", daemon.url, "doctor", "--only", "net")
    said = daemon.on_host(*doctor).stdout
    assert "PASS  net.guard         sdd drops forwarded IPv4 packets" in said
    daemon.on_host("nft", "add table ip theirs")
    daemon.on_host("nft", "add chain ip theirs through { type filter hook forward priority 0; }")
    try:
        warned = daemon.on_host(*doctor).stdout
    finally:
        daemon.on_host("nft", "delete table ip theirs")
    assert "WARN  net.guard" in warned
    assert "rules for some in ip theirs through" in warned
