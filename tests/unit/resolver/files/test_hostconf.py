"""The host's own resolv.conf, whatever somebody put in its place."""

import os
from ipaddress import ip_address
from pathlib import Path

import pytest

from resolver.files import hostconf
from tests.support import at_once, room_for


def test_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 192.0.2.1\nsearch a.example\n")
    found = hostconf.read(file)
    assert (found.servers, found.search) == ((ip_address("192.0.2.1"),), ("a.example",))


def test_no_more_of_it_is_read_than_makes_sense(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    with file.open("wb") as written:
        written.write(b"nameserver 192.0.2.1\n")
        written.truncate(1 << 40)
    assert hostconf.read(file).servers == (ip_address("192.0.2.1"),)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "nothing"])
def test_what_is_no_file_says_nothing(tmp_path: Path, kind: str) -> None:
    """The event loop of the daemon reads it: nobody may wait for who writes into a pipe."""
    file = tmp_path / "resolv.conf"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "device":
        file.symlink_to("/dev/zero")
    daemon = at_once(lambda: hostconf.daemon_dns(host=file, resolved=file))
    assert (daemon.host.servers, daemon.direct.servers) == ((), ())


def test_without_a_descriptor_left_nobody_takes_a_host_for_one_without_servers(
    tmp_path: Path,
) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 192.0.2.1\n")
    with room_for(0), pytest.raises(OSError, match="Too many open files"):
        hostconf.daemon_dns(host=file, resolved=file)


def test_behind_a_stub_are_the_servers_of_another_file(tmp_path: Path) -> None:
    stub, behind = tmp_path / "stub", tmp_path / "behind"
    stub.write_text(f"nameserver {hostconf.STUB}\n")
    behind.write_text("nameserver 192.0.2.1\n")
    daemon = hostconf.daemon_dns(host=stub, resolved=behind)
    assert daemon.host.servers == (ip_address(hostconf.STUB),)
    assert daemon.direct.servers == (ip_address("192.0.2.1"),)
