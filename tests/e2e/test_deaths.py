"""A container that dies without a word leaves names and services within a second."""

import json
import subprocess

from sdd.linux import namespaces
from tests.e2e.appliance import Appliance, until


def test_a_dead_container_leaves_names_and_services(daemon: Appliance) -> None:
    daemon.sdctl("network", "create", "front")
    daemon.sandbox("client", "--network", "front")
    daemon.sdctl("service", "create", "web", "--network", "front")
    container = subprocess.Popen(["unshare", "-n", "sleep", "600"])
    try:
        name = daemon.name("brief")
        until(lambda: is_inside(container.pid), 5, "it is in a namespace of its own")
        attach = ("sandbox", "attach", name, "--pid", str(container.pid))
        daemon.sdctl(*attach, "--network", "front", "--network-alias", "brief")
        daemon.sdctl("service", "join", "web", name)
        assert daemon.inside("client", "getent", "ahostsv4", "brief").returncode == 0
    finally:
        container.kill()
        container.wait()
    until(lambda: not is_known(daemon), 5, "the name is gone")
    assert name not in daemon.sdctl("sandbox", "ls", "-q", "--format", "name").stdout
    (service,) = json.loads(daemon.sdctl("service", "inspect", "web").stdout)
    assert service["Members"] == []
    assert "sandbox.ended" in daemon.log()


def is_inside(pid: int) -> bool:
    return namespaces.inode(f"/proc/{pid}/ns/net") != namespaces.inode("/proc/self/ns/net")


def is_known(daemon: Appliance) -> bool:
    asked = daemon.inside("client", "getent", "ahostsv4", "brief", check=False)
    return asked.returncode == 0
