"""What is missing for encrypted upstreams is said at the start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from resolver.upstream import transports, trust
from sdd import errors
from sdd.model import nameserver
from tests import support

PLAIN = (nameserver.parse("192.0.2.1"),)
TLS = (nameserver.parse("tls://192.0.2.1"),)
ROOT = Path(__file__).parents[3]
WITHOUT = """
import sys
from sdd.app import main
sys.modules["aioquic"] = None  # as if it had never been installed
sys.argv = ["sdd", "--validate", "--config", sys.argv[1]]
main()
"""


def test_A8_71_quic_without_its_library_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "daemon.json"
    file.write_text('{"dns": ["quic://192.0.2.1"]}')
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(file)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    assert done.returncode == 1
    assert "SDD-DNS-QUIC" in done.stderr
    assert "sdd[quic]" in done.stderr
    assert "Traceback" not in done.stderr


def test_plain_servers_need_nothing() -> None:
    transports.check(PLAIN, None)
    transports.check(TLS, None)


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("nothing\n")
    pipe, huge = tmp_path / "pipe.pem", tmp_path / "huge.pem"
    os.mkfifo(pipe)
    with huge.open("wb") as file:
        file.truncate(trust.MOST_BYTES + 1)
    # Those that would be waited for, or read for ever, are looked at by the loop of the daemon.
    for wrong in (empty, tmp_path / "none.pem", pipe, huge, Path("/dev/zero"), tmp_path):
        with pytest.raises(errors.Invalid) as caught:
            support.at_once(lambda: transports.check(TLS, wrong))  # noqa: B023 - called at once
        assert caught.value.code == "SDD-DNS-CA"


def test_authorities_may_be_for_the_servers_of_sandboxes() -> None:
    system = Path("/etc/ssl/certs/ca-certificates.crt")
    if system.exists():
        transports.check(TLS, system)
        transports.check(PLAIN, system)
