"""The running kernel passes the contract too."""

from dataclasses import dataclass

import pytest

from netns.kernel import linux
from sdd.linux import namespaces
from tests.contract.netns_kernel import KernelContract
from tests.kernel.netns.conftest import Host, run_in

pytestmark = pytest.mark.kernel


@dataclass
class LinuxRig:
    host: Host

    @property
    def kernel(self) -> linux.LinuxKernel:
        return self.host.kernel

    def named(self, name: str) -> str:
        return self.host.sandbox_path(name)

    async def adopt(self, name: str) -> tuple[str, int]:
        path = str(self.host.root / f"t-netns-{name}")
        return path, await self.host.doors.create(path)

    async def end(self, path: str) -> None:
        await self.host.doors.delete(path)

    async def add_foreign(self, path: str, name: str) -> None:
        run_in(path or self.host.path, "ip", "link", "add", name, "type", "bridge")

    async def set_down(self, path: str, name: str) -> None:
        run_in(path or self.host.path, "ip", "link", "set", name, "down")

    async def remove_prefix(self, path: str, prefix: str) -> None:
        run_in(
            path or self.host.path, "ip", "-6" if ":" in prefix else "-4", "route", "del", prefix
        )


class TestLinuxKernel(KernelContract):
    @pytest.fixture
    def rig(self, host: Host) -> LinuxRig:
        return LinuxRig(host)


def test_the_rig_is_in_a_namespace_of_its_own(host: Host) -> None:
    assert namespaces.inode(host.path) != namespaces.inode(namespaces.OWN)
