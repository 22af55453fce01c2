"""Ports that every node opens, balanced by nftables."""

from collections.abc import Iterator

import pytest

from lb.kernel.nftables import NftablesKernel
from tests.kernel.ingress_town import IngressTown
from tests.kernel.ingress_traffic import IngressTraffic

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def town() -> Iterator[IngressTown]:
    built = IngressTown("ing", NftablesKernel)
    yield built
    built.close()


class TestTraffic(IngressTraffic):
    """The suite of IPVS."""
