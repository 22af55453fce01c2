"""A container that dies without a word leaves names and services within a second."""

import json
import subprocess

import pytest

from sdd.linux import namespaces
from tests.e2e.appliance import PATIENCE_S, Appliance, until

SOON_S = 10.0  # a second, and the many questions until then; all is looked at every 20 s


@pytest.fixture(scope="module", autouse=True)
def client(daemon: Appliance) -> None:
    """A sandbox that asks."""
    daemon.sdctl("network", "create", "front")
    daemon.sandbox("client", "--network", "front")


def test_a_dead_container_leaves_names_and_services(daemon: Appliance) -> None:
    daemon.sdctl("service", "create", "web", "--network", "front")
    container = subprocess.Popen(["unshare", "-n", "sleep", "600"])
    try:
        name = daemon.name("brief")
        until(lambda: is_inside(container.pid), PATIENCE_S, "it is in a namespace of its own")
        attach = ("sandbox", "attach", name, "--pid", str(container.pid))
        daemon.sdctl(*attach, "--network", "front", "--network-alias", "brief")
        daemon.sdctl("service", "join", "web", name)
        assert daemon.inside("client", "getent", "ahostsv4", "brief").returncode == 0
    finally:
        container.kill()
        container.wait()
    until(lambda: not is_known(daemon), SOON_S, "the name is gone", daemon.own_s)
    assert name not in daemon.sdctl("sandbox", "ls", "-q", "--format", "name").stdout
    (service,) = json.loads(daemon.sdctl("service", "inspect", "web").stdout)
    assert service["Members"] == []
    assert "sandbox.ended" in daemon.log()


def test_a_namespace_whose_file_stays_is_gone_with_its_mount(daemon: Appliance) -> None:
    path = daemon.root / "t-unmounted"
    doors = namespaces.Namespaces()
    try:
        doors.create_sync(str(path))
        name = daemon.name("brief")
        attach = ("sandbox", "attach", name, "--netns", str(path), "--network", "front")
        daemon.sdctl(*attach, "--network-alias", "brief")
        assert is_known(daemon)
        subprocess.run(["umount", str(path)], check=True)
        assert path.exists()
        until(lambda: not is_known(daemon), SOON_S, "the name is gone", daemon.own_s)
        assert name not in daemon.sdctl("sandbox", "ls", "--format", "name").stdout
    finally:
        doors.delete_sync(str(path))
        doors.close()


def is_inside(pid: int) -> bool:
    return namespaces.inode(f"/proc/{pid}/ns/net") != namespaces.inode("/proc/self/ns/net")


def is_known(daemon: Appliance) -> bool:
    asked = daemon.inside("client", "getent", "ahostsv4", "brief", check=False)
    return asked.returncode == 0
