"""The kernel in memory passes the kernel's contract."""

from dataclasses import dataclass, field

import pytest

from netns import fake, world
from tests.contract.netns_kernel import KernelContract


@dataclass
class FakeRig:
    kernel: fake.FakeKernel = field(default_factory=fake.FakeKernel)

    def named(self, name: str) -> str:
        return f"/run/sdd/netns/{name}"

    async def adopt(self, name: str) -> tuple[str, int]:
        path = f"/run/other/{name}"
        return path, self.kernel.adopt(path)

    async def end(self, path: str) -> None:
        self.kernel.remove_space(path)

    async def add_foreign(self, path: str, name: str) -> None:
        link = world.Link(name=name, kind=world.Kind.BRIDGE, up=False)
        self.kernel.spaces[path].links[name] = link

    async def set_down(self, path: str, name: str) -> None:
        self.kernel.set_down(path, name)

    async def remove_prefix(self, path: str, prefix: str) -> None:
        space = self.kernel.spaces[path]
        space.routes = {each for each in space.routes if str(each.destination) != prefix}


class TestFakeKernel(KernelContract):
    @pytest.fixture
    def rig(self) -> FakeRig:
        return FakeRig()
