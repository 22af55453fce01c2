"""A daemon whose upstream is encrypted: a real unbound in the namespace that plays its host."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.appliance import PATIENCE_S, Appliance, until
from tests.scenario import certificates, encrypted


def test_A8_67_a_sandbox_gets_what_the_daemons_tls_server_says(tmp_path: Path) -> None:
    with certificates.made() as made:
        (tmp_path / "unbound.conf").write_text(
            encrypted.UNBOUND.format(
                tls=853,
                https=443,
                key=made.key,
                chain=made.chain,
                folder=tmp_path,
                address=encrypted.ADDRESS,
            )
        )
        settings = {"dns": ["tls://127.0.0.1#dns.test"], "dns-ca": str(made.authority)}
        file = tmp_path / "daemon.json"
        file.write_text(json.dumps(settings))
        daemon = Appliance("dot", "--config", str(file))
        inside = ["nsenter", f"--net=/run/netns/{daemon.host}"]
        server = subprocess.Popen(
            [*inside, "/usr/sbin/unbound", "-d", "-c", str(tmp_path / "unbound.conf")],
            stderr=subprocess.DEVNULL,
        )
        try:
            daemon.start()
            daemon.sdctl("network", "create", "n")
            daemon.sandbox("client", "--network", "n")
            asked = ("dig", "+short", "+tries=1", "+time=5", "www.example.org")
            until(
                lambda: (
                    daemon.inside("client", *asked, check=False).stdout.strip() == encrypted.ADDRESS
                ),
                PATIENCE_S,
                lambda: f"an answer; the log:\n{daemon.log()}",
            )
            listed = daemon.sdctl("dns", "upstream", "ls").stdout
            assert "tls://127.0.0.1:853" in listed
        finally:
            server.terminate()
            server.wait(PATIENCE_S)
            daemon.close()


def serving(
    daemon: Appliance, scheme: str, made: certificates.Certificates, folder: Path
) -> Callable[[], None]:
    """A server inside the sandbox "client": unbound, or aioquic's for QUIC; what ends it."""
    if scheme == "quic":
        return encrypted.Doq(made, f"/run/netns/{daemon.name('client')}").close
    settings = {"key": made.key, "chain": made.chain, "folder": folder}
    (folder / "unbound.conf").write_text(
        encrypted.UNBOUND.format(tls=853, https=443, address=encrypted.ADDRESS, **settings)
    )
    enter = ("ip", "netns", "exec", daemon.name("client"))
    server = subprocess.Popen(
        [*enter, "/usr/sbin/unbound", "-d", "-c", str(folder / "unbound.conf")],
        stderr=subprocess.DEVNULL,
    )
    daemon.served.append(server)
    return server.terminate


@pytest.mark.parametrize("way", ["sandbox", "network"])
@pytest.mark.parametrize("scheme", ["tls", "https", "quic"])
def test_A8_23_a_sandboxs_own_encrypted_server_is_asked_from_inside(
    tmp_path: Path, scheme: str, way: str
) -> None:
    """On loopback inside the sandbox: nobody else could reach that."""
    given = ("--dns", f"{scheme}://127.0.0.1#dns.test")
    with certificates.made() as made:
        file = tmp_path / "daemon.json"
        file.write_text(json.dumps({"dns-ca": str(made.authority)}))
        daemon = Appliance("doi", "--config", str(file))
        try:
            daemon.start()
            net, box = (given, ()) if way == "network" else ((), given)
            daemon.sdctl("network", "create", "n", "--internal", *net)
            daemon.sandbox("client", "--network", "n", *box)
            stop = serving(daemon, scheme, made, tmp_path)
            asked = ("dig", "+short", "+tries=1", "+time=5", "www.example.org")
            until(
                lambda: (
                    daemon.inside("client", *asked, check=False).stdout.strip() == encrypted.ADDRESS
                ),
                PATIENCE_S,
                lambda: f"an answer; the log:\n{daemon.log()}",
            )
            (row,) = (each for each in daemon.json("dns", "upstream", "ls"))
            assert row["From"] == daemon.name("client")
            told = daemon.sdctl("dns", "query", "www.example.org", "--from", daemon.name("client"))
            assert "cache: NOERROR" in told.stderr
            stop()
        finally:
            daemon.close()
