"""`dns-bind: direct` of daemon.json, and a look-up along the search list, as their user sees them."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.appliance import PATIENCE_S, Appliance, appliance, run, until


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Appliance]:
    file = tmp_path / "daemon.json"
    file.write_text(json.dumps({"dns-bind": "direct"}))
    with appliance("direct", "--config", str(file)) as one:
        one.sdctl("network", "create", "lab", "--subnet", "10.66.0.0/24", "--internal")
        one.sandbox("web", "--network", "lab,ip=10.66.0.80,alias=web.shop")
        one.sandbox("c", "--network", "lab", "--dns-search", "shop", "--dns-opt", "ndots:1")
        yield one


def test_names_come_from_port_53_itself_without_rules(daemon: Appliance) -> None:
    assert daemon.inside("c", "getent", "ahostsv4", "web").stdout.startswith("10.66.0.80")
    assert "127.0.0.11:53 " in daemon.inside("c", "ss", "-Hlnu").stdout
    assert "sdd-dns" not in daemon.inside("c", "nft", "list", "tables").stdout
    assert daemon.sdctl("verify", check=False).returncode == 0
    daemon.kill()
    assert daemon.inside("c", "getent", "ahostsv4", "web").stdout.startswith("10.66.0.80")
    daemon.start()
    assert daemon.inside("c", "getent", "ahostsv4", "web").stdout.startswith("10.66.0.80")


def test_search_finds_what_programs_find(daemon: Appliance) -> None:
    asked = ("dns", "query", "web", "--from", daemon.name("c"))
    assert daemon.sdctl(*asked, "--search", "--short").stdout.split() == ["10.66.0.80"]
    assert "web.shop. A: NOERROR" in daemon.sdctl(*asked, "--search").stderr
    whole = ("dns", "query", "nobody", "--from", daemon.name("c"), "--search")
    # All its networks are internal, so nobody may be asked for nobody.shop: it is denied.
    assert daemon.sdctl(*whole, check=False).returncode == 3


def test_a_server_of_the_sandboxs_own_on_port_53_is_named(daemon: Appliance) -> None:
    run("ip", "netns", "add", daemon.name("own"))
    try:
        path = f"/run/netns/{daemon.name('own')}"
        run("nsenter", f"--net={path}", "ip", "link", "set", "lo", "up")
        command = ["nsenter", f"--net={path}", "socat", "-u", "UDP-RECV:53", "STDOUT"]
        with subprocess.Popen(command) as server:
            until(
                lambda: ":53 " in run(*command[:2], "ss", "-Hlun").stdout, PATIENCE_S, "it listens"
            )
            asked = ("sandbox", "attach", "own", "--netns", path, "--network", "lab")
            done = daemon.sdctl(*asked, check=False)
            server.kill()
        assert f"port 53 is held by socat (pid {server.pid})" in done.stderr
    finally:
        run("ip", "netns", "del", daemon.name("own"))
