"""A member is checked by IPv4 and by IPv6, and serves where it answers."""

from tests.e2e.appliance import PATIENCE_S, Appliance, until


def addresses(daemon: Appliance, kind: str, name: str = "four") -> list[str]:
    return daemon.inside("asks", "dig", "+short", name, kind).stdout.split()


def test_who_listens_on_one_ip_version_gets_no_traffic_and_no_name_of_the_other(
    daemon: Appliance,
) -> None:
    daemon.sdctl("network", "create", "dual", "--ipv6")
    for name in ("only4", "asks"):
        daemon.sandbox(name, "--network", "dual")
    box = daemon.name("only4")
    daemon.program("only4", "busybox", "httpd", "-f", "-p", "0.0.0.0:80", "-h", "/etc")
    heard = ("ss", "-Hltn")
    until(lambda: "0.0.0.0:80 " in daemon.inside("only4", *heard).stdout, PATIENCE_S, "it listens")
    health = ("--health", "tcp:80", "--health-interval", "300ms")
    daemon.sdctl("service", "create", "four", "--network", "dual", *health)
    daemon.sdctl("service", "join", "four", box)

    def member() -> tuple[str, list[int]]:
        (row,) = daemon.json("service", "ps", "four")
        return row["State"], row["Failing"]

    until(lambda: member() == ("up", [6]), PATIENCE_S, "it is up by IPv4")
    daemon.until_done()
    assert "IPv6: connection refused" in daemon.sdctl("service", "ps", "four").stdout
    assert len(addresses(daemon, "A")) == len(addresses(daemon, "A", "tasks.four")) == 1
    assert addresses(daemon, "AAAA") == addresses(daemon, "AAAA", "tasks.four") == []
    daemon.inside("asks", "curl", "-sf", "--max-time", "30", "http://four/hostname")
    (made,) = daemon.json("service", "inspect", "four")
    (vip6,) = [each for each in made["VIPs"] if ":" in each]
    rows = daemon.json("lb", "ls", "--from", daemon.name("asks"))
    assert {row["Address"] for row in rows if row["Vip"] == vip6} == {None}
    told = daemon.sdctl("lb", "trace", f"[{vip6}]:80", "--from", daemon.name("asks")).stdout
    assert "IPv6: connection refused" in told
    six = daemon.program("only4", "socat", "TCP6-LISTEN:80,ipv6only=1,fork", "EXEC:true")
    until(lambda: member() == ("up", []), PATIENCE_S, "it answers by IPv6 as well")
    daemon.until_done()
    assert addresses(daemon, "AAAA") == [vip6]
    assert len(addresses(daemon, "AAAA", "tasks.four")) == 1
    six.kill()
    until(lambda: member() == ("up", [6]), PATIENCE_S, "IPv6 fails again")
    daemon.until_done()
    daemon.sdctl("verify")


def test_published_ports_lead_to_whoever_answers_on_ingress(daemon: Appliance) -> None:
    """Its own network knows IPv4 alone; ports are published by both versions."""
    daemon.sdctl("network", "create", "single")
    daemon.sdctl("network", "create", "beside", "--ipv6")
    health = ("--health", "tcp:80", "--health-interval", "300ms")
    port = "published=8095,target=80"
    daemon.sdctl("service", "create", "shop", "--network", "single", "--publish", port, *health)
    for name, address in (("narrow", "0.0.0.0"), ("wide", "[::]")):
        daemon.sandbox(name, "--network", "single", "--service", "shop")
        daemon.program(name, "busybox", "httpd", "-f", "-p", f"{address}:80", "-h", "/etc")

    def members() -> dict[str, tuple[str, list[int], list[int]]]:
        rows = daemon.json("service", "ps", "shop")
        return {
            row["Sandbox"].rsplit("-", 1)[1]: (row["State"], row["Failing"], row["IngressFailing"])
            for row in rows
        }

    wanted: dict[str, tuple[str, list[int], list[int]]]
    wanted = {"narrow": ("up", [], [6]), "wide": ("up", [], [])}
    until(lambda: members() == wanted, PATIENCE_S, "narrow is no member for IPv6 from outside")
    daemon.until_done()
    told = daemon.sdctl("service", "ps", "shop").stdout
    assert "published ports, IPv6: connection refused" in told
    (beside,) = daemon.json("network", "inspect", "beside")
    gateways = [str(each["Gateway"]) for each in beside["IPAM"]["Config"]]
    (six,) = [each for each in gateways if ":" in each]
    for _ in range(8):
        daemon.on_host("curl", "-sf", "--max-time", "30", f"http://[{six}]:8095/hostname")
    daemon.sdctl("verify")
    daemon.sdctl("service", "rm", "shop")
