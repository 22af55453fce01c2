"""Networks and sandboxes as their user sees them, judged by ip, ping and nft."""

import json
from pathlib import Path

from tests.e2e.appliance import Appliance, until


def test_create_prints_the_full_id_and_inspect_has_dockers_keys(daemon: Appliance) -> None:
    created = daemon.sdctl("network", "create", "keys", "--subnet", "10.90.0.0/24").stdout.strip()
    assert len(created) == 64
    (network,) = json.loads(daemon.sdctl("network", "inspect", "keys").stdout)
    assert network["Id"] == created
    wanted = {"Id", "Name", "Driver", "Scope", "Internal", "EnableIPv6", "IPAM", "Containers"}
    assert wanted | {"Options", "Labels"} <= network.keys()
    assert network["IPAM"]["Config"] == [{"Subnet": "10.90.0.0/24", "Gateway": "10.90.0.1"}]
    links = daemon.on_host("ip", "-br", "address", "show", f"br-{created[:12]}").stdout
    assert "10.90.0.1/24" in links
    assert daemon.sdctl("network", "inspect", created[:9]).returncode == 0


def test_ls_has_the_fixed_columns_and_the_default_network(daemon: Appliance) -> None:
    head, *rows = daemon.sdctl("network", "ls").stdout.splitlines()
    assert head.split("  ")[0] == "NETWORK ID"
    assert [word.strip() for word in head.split("   ") if word.strip()] == [
        "NETWORK ID",
        "NAME",
        "DRIVER",
        "SCOPE",
    ]
    assert any(row.split()[1:] == ["bridge", "bridge", "local"] for row in rows)
    assert "sdd0" in daemon.on_host("ip", "-br", "link").stdout


def test_two_sandboxes_on_one_network_reach_each_other_and_only_there(daemon: Appliance) -> None:
    for network in ("reach-a", "reach-b"):
        daemon.sdctl("network", "create", network)
    daemon.sandbox("a1", "--network", "reach-a")
    daemon.sandbox("a2", "--network", "reach-a")
    daemon.sandbox("b1", "--network", "reach-b")
    assert daemon.inside("a1", "ping", "-c1", "-W20", "a2").returncode == 0
    (b1,) = daemon.json("sandbox", "inspect", daemon.name("b1"))
    address = next(iter(b1["Networks"].values()))["IPAddress"]
    assert daemon.inside("a1", "ping", "-c1", "-W1", address, check=False).returncode != 0


def test_C86_an_internal_network_has_no_default_route(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "inner", "--internal", "--subnet", "10.91.0.0/24")
    daemon.sandbox("in1", "--network", "inner,ip=10.91.0.9")
    assert "default" not in daemon.inside("in1", "ip", "route").stdout
    assert "10.91.0.9/24" in daemon.inside("in1", "ip", "-br", "address").stdout
    assert daemon.inside("in1", "ping", "-c1", "-w20", "10.91.0.1").returncode == 0


def test_link_local_addresses_are_added_shown_and_kept(daemon: Appliance) -> None:
    for network in ("local", "other"):
        daemon.sdctl("network", "create", network)
    daemon.sandbox("near", "--network", "local,link-local-ip=169.254.7.1")
    daemon.sandbox("far", "--network", "other")
    given = ("--link-local-ip", "169.254.7.2", "--link-local-ip", "fe80::7:2")
    taken = daemon.sdctl(
        *("network", "connect", "local", daemon.name("far"), "--link-local-ip", "169.254.7.1"),
        check=False,
    )
    assert "already used on network local" in taken.stderr
    daemon.sdctl("network", "connect", "local", daemon.name("far"), *given)
    (far,) = daemon.json("sandbox", "inspect", daemon.name("far"))
    link = far["Networks"]["local"]
    assert link["LinkLocalIPs"] == ["169.254.7.2", "fe80::7:2"]
    ifname = link["InterfaceName"]
    shown = daemon.inside("far", "ip", "-br", "address", "show", ifname).stdout
    assert {"169.254.7.2/16", "fe80::7:2/64"} <= set(shown.split())
    assert daemon.inside("near", "ping", "-c1", "-W20", "169.254.7.2").returncode == 0
    daemon.inside("far", "ip", "address", "del", "fe80::7:2/64", "dev", ifname)
    until(
        lambda: "fe80::7:2" in daemon.inside("far", "ip", "address", "show", ifname).stdout,
        30,  # the bound that the product promises
        "it is mended",
        daemon.own_s,
    )
    wrong = ("network", "connect", "other", daemon.name("near"), "--link-local-ip", "10.0.0.1")
    assert "no link-local address" in daemon.sdctl(*wrong, check=False).stderr


def test_C28_connect_and_disconnect_change_addresses_and_names_at_once(daemon: Appliance) -> None:
    for network in ("live-a", "live-b"):
        daemon.sdctl("network", "create", network)
    daemon.sandbox("mover", "--network", "live-a")
    daemon.sandbox("target", "--network", "live-b")
    assert daemon.inside("mover", "getent", "ahostsv4", "target", check=False).returncode != 0
    daemon.sdctl("network", "connect", "live-b", daemon.name("mover"), "--alias", "guest")
    assert daemon.inside("mover", "ping", "-c1", "-W20", "target").returncode == 0
    assert daemon.inside("target", "getent", "ahostsv4", "guest").returncode == 0
    daemon.sdctl("network", "disconnect", "live-b", daemon.name("mover"))
    assert daemon.inside("mover", "getent", "ahostsv4", "target", check=False).returncode != 0
    assert "eth1" not in daemon.inside("mover", "ip", "-br", "link").stdout


def test_D7_leaving_the_last_network_leaves_the_server_as_it_is(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "last-net")
    name = daemon.sandbox("last", "--network", "last-net", "--add-host", "printer:192.0.2.5")
    before = daemon.inside("last", "cat", "/etc/resolv.conf").stdout
    daemon.sdctl("network", "disconnect", "last-net", name)
    assert "nameserver 127.0.0.11\n" in daemon.inside("last", "cat", "/etc/resolv.conf").stdout
    asked = daemon.sdctl("dns", "query", "printer", "--from", name)
    assert "192.0.2.5" in asked.stdout
    assert "added hosts" in asked.stderr
    assert daemon.inside("last", "getent", "hosts", "printer").returncode == 0
    daemon.kill()
    daemon.start()
    assert daemon.inside("last", "getent", "hosts", "printer").returncode == 0
    assert "192.0.2.5" in daemon.sdctl("dns", "query", "printer", "--from", name).stdout
    daemon.sdctl("network", "connect", "last-net", name)
    assert daemon.inside("last", "cat", "/etc/resolv.conf").stdout == before
    assert daemon.inside("last", "getent", "ahostsv4", name).returncode == 0


def test_a_removed_sandbox_leaves_no_link_namespace_or_file(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "gone-net")
    name = daemon.sandbox("gone", "--network", "gone-net")
    (before,) = daemon.json("sandbox", "inspect", name)
    daemon.sdctl("sandbox", "rm", name)
    assert name not in daemon.on_host("ip", "netns", "list").stdout
    assert not (daemon.root / "data" / "sandboxes" / before["Id"]).exists()
    daemon.sdctl("network", "rm", "gone-net")
    assert "gone-net" not in daemon.sdctl("network", "ls").stdout


def test_an_adopted_namespace_keeps_its_own_interfaces(daemon: Appliance) -> None:
    own = f"{daemon.host}-own"
    daemon.on_host("ip", "netns", "add", own)
    try:
        daemon.on_host("ip", "-n", own, "link", "add", "eth0", "type", "dummy", check=False)
        daemon.on_host("ip", "-n", own, "link", "add", "br7", "type", "bridge")
        daemon.sdctl("network", "create", "adopt")
        daemon.sdctl("sandbox", "attach", own, "--netns", f"/run/netns/{own}", "--network", "adopt")
        assert "eth" in daemon.on_host("ip", "-n", own, "-br", "link").stdout
        daemon.sdctl("sandbox", "rm", own)
        links = daemon.on_host("ip", "-n", own, "-br", "link").stdout
        assert "br7" in links
        assert (
            "sdd" not in daemon.on_host("ip", "netns", "exec", own, "nft", "list", "tables").stdout
        )
    finally:
        daemon.on_host("ip", "netns", "del", own)


def test_A8_95_a_resolv_conf_that_a_user_edited_is_not_overwritten(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "edits")
    name = daemon.sandbox("edited", "--network", "edits")
    (seen,) = daemon.json("sandbox", "inspect", name)
    path = daemon.root / "data" / "sandboxes" / seen["Id"] / "resolv.conf"
    assert "nameserver 127.0.0.11" in path.read_text()
    assert seen["EditedFiles"] == []
    path.write_text("nameserver 192.0.2.53\n")
    daemon.sdctl("network", "create", "edits2")
    daemon.sdctl("network", "connect", "edits2", name)
    assert path.read_text() == "nameserver 192.0.2.53\n"
    (seen,) = daemon.json("sandbox", "inspect", name)
    assert seen["EditedFiles"] == [str(path)]


def test_a_file_of_somebody_else_wins_under_ip_netns_and_is_told(daemon: Appliance) -> None:
    theirs = Path("/etc/netns") / daemon.name("theirs") / "resolv.conf"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("nameserver 192.0.2.53\n")
    try:
        daemon.sdctl("network", "create", "shown")
        name = daemon.sandbox("theirs", "--network", "shown")
        (seen,) = daemon.json("sandbox", "inspect", name)
        assert (seen["EditedFiles"], seen["ForeignFiles"]) == ([], [str(theirs)])
        said = daemon.sdctl("doctor", "--only", "daemon").stdout
        assert f"of somebody else win over those of sdd; the first: {theirs}" in said
    finally:
        theirs.unlink()
    daemon.sdctl("network", "create", "shown2")
    daemon.sdctl("network", "connect", "shown2", name)
    assert "127.0.0.11" in daemon.inside("theirs", "cat", "/etc/resolv.conf").stdout
    assert daemon.json("sandbox", "inspect", name)[0]["ForeignFiles"] == []
    assert "PASS  daemon.files" in daemon.sdctl("doctor", "--only", "daemon").stdout


def test_the_smallest_subnet_holds_a_gateway_and_one_sandbox(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "p31", "--subnet", "10.96.0.0/31")
    daemon.sandbox("p31", "--network", "p31")
    daemon.inside("p31", "ping", "-c1", "-W20", "10.96.0.0")
    full = daemon.sdctl("sandbox", "create", daemon.name("q31"), "--network", "p31", check=False)
    assert "[SDD-IPAM-EXHAUSTED]" in full.stderr


def test_C115_two_sandboxes_share_the_smallest_subnet_without_a_gateway(daemon: Appliance) -> None:
    isolated = ("-o", "com.docker.network.bridge.gateway_mode_ipv4=isolated")
    daemon.sdctl("network", "create", "i31", "--subnet", "10.96.1.0/31", "--internal", *isolated)
    daemon.sandbox("left", "--network", "i31")
    daemon.sandbox("right", "--network", "i31")
    daemon.inside("left", "ping", "-c1", "-W20", "right")


def test_G12_networks_are_made_from_a_configuration(daemon: Appliance) -> None:
    said = (
        "--subnet",
        "10.99.7.0/24",
        "--label",
        "rack=7",
        "-o",
        "com.docker.network.driver.mtu=1400",
    )
    daemon.sdctl("network", "create", "rack7", "--config-only", *said)
    row = next(each for each in daemon.json("network", "ls") if each["Name"] == "rack7")
    assert (row["Driver"], row["ConfigOnly"]) == ("null", True)
    daemon.sdctl("network", "create", "lan7", "--config-from", "rack7")
    (made,) = daemon.json("network", "inspect", "lan7")
    assert made["ConfigFrom"] == {"Network": "rack7"}
    assert made["Labels"] == {"rack": "7"}
    daemon.sandbox("seven", "--network", "lan7")
    assert "10.99.7.2/24" in daemon.inside("seven", "ip", "-br", "address").stdout
    assert "mtu 1400" in daemon.inside("seven", "ip", "link", "show", "eth0").stdout
    refused = daemon.sdctl("network", "rm", "rack7", check=False)
    assert "in use by network lan7" in refused.stderr
    daemon.sdctl("sandbox", "rm", daemon.name("seven"))
    daemon.sdctl("network", "prune", "-f")
    assert daemon.sdctl("network", "exists", "rack7", check=False).returncode == 0
    daemon.sdctl("network", "rm", "rack7")
    assert daemon.sdctl("network", "exists", "rack7", check=False).returncode == 1


def test_R14_a_line_that_a_program_appends_to_hosts_costs_no_address(daemon: Appliance) -> None:
    for net in ("left", "right"):
        daemon.sdctl("network", "create", net)
    name = daemon.sandbox("app", "--network", "left")
    daemon.sdctl("network", "connect", "right", name)

    def own() -> tuple[set[str], set[str]]:
        """The addresses of its networks, and those that its hosts file gives it."""
        (seen,) = daemon.json("sandbox", "inspect", name)
        lines = [line.split() for line in Path(seen["HostsPath"]).read_text().splitlines()]
        of_nets = {str(each["IPAddress"]) for each in seen["Networks"].values()}
        return of_nets, {str(address) for address, *names in lines if name in names}

    (seen,) = daemon.json("sandbox", "inspect", name)
    with Path(seen["HostsPath"]).open("a") as file:
        file.write("1.2.3.4 payments\n")
    for count, change in ((2, "inspect"), (1, "disconnect"), (2, "connect")):
        daemon.sdctl("network", change, "right", *(() if change == "inspect" else (name,)))
        wanted, there = own()
        assert (len(wanted), there) == (count, wanted)
    assert "1.2.3.4 payments" in daemon.inside("app", "cat", "/etc/hosts").stdout
    (seen,) = daemon.json("sandbox", "inspect", name)
    assert seen["EditedFiles"] == [seen["HostsPath"]]
