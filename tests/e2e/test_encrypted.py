"""A daemon whose upstream is encrypted: a real unbound in the namespace that plays its host."""

import json
import subprocess
from pathlib import Path

from tests.e2e.appliance import Appliance, until
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
                20,
                lambda: f"an answer; the log:\n{daemon.log()}",
            )
            listed = daemon.sdctl("dns", "upstream", "ls").stdout
            assert "tls://127.0.0.1:853" in listed
        finally:
            server.terminate()
            server.wait(10)
            daemon.close()
