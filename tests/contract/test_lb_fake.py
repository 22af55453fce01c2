"""The fake balancing kernel keeps the contract of the real ones."""

import pytest

from lb import table, world
from lb.fake import FakeKernel
from tests.contract import lb_kernel


class TestFakeKernel(lb_kernel.LbKernelContract):
    @pytest.fixture
    def place(self) -> table.Place:
        return table.Place(netns="/fake/home", addresses=lb_kernel.HOME)

    @pytest.fixture
    def kernel(self, place: table.Place) -> world.Kernel:
        kernel = FakeKernel()
        kernel.make(place.netns)
        return kernel
