"""Ports that every node opens, balanced by nftables."""

from collections.abc import Iterator

import pytest

from lb.kernel.nftables import NftablesKernel
from tests.kernel.ingress_town import IngressTown
from tests.kernel.ingress_traffic import IngressTraffic
from tests.kernel.ingress_ways import COMMON, IngressWays

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def town() -> Iterator[IngressTown]:
    built = IngressTown("ing", NftablesKernel)
    yield built
    built.close()


class TestTraffic(IngressTraffic):
    """The suite of IPVS."""


class TestWays(IngressWays):
    """Kinds of networks that every kernel has."""

    @pytest.mark.parametrize("kind", COMMON)
    def test_members_on_networks_of_every_kind_answer(self, town: IngressTown, kind: str) -> None:
        self.answers(town, COMMON[kind])
