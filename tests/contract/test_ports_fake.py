"""The fake that publishes ports keeps the contract of the real one."""

from collections.abc import Callable

import pytest

from lb.ports.fake import FakeKernel
from sdd.model.port import Protocol
from tests.contract import ports_kernel


class TestFakeKernel(ports_kernel.PortsKernelContract):
    @pytest.fixture
    def kernel(self) -> FakeKernel:
        return FakeKernel()

    @pytest.fixture
    def take(self, kernel: FakeKernel) -> Callable[[Protocol, int], None]:
        return lambda protocol, number: kernel.taken.add((protocol, number))
