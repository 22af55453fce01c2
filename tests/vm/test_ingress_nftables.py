"""Ports that every node opens, balanced by nftables: members on what the lab kernel alone has."""

from collections.abc import Iterator

import pytest

from lb.kernel.nftables import NftablesKernel
from tests.kernel.ingress_town import IngressTown
from tests.kernel.ingress_ways import COMMON, FULL, IngressWays

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def town() -> Iterator[IngressTown]:
    built = IngressTown("ingn", NftablesKernel)
    yield built
    built.close()


class TestWays(IngressWays):
    """With the kinds of networks that this kernel has beside those of every kernel."""

    @pytest.mark.parametrize("kind", [each for each in FULL if each not in COMMON])
    def test_members_on_networks_of_every_kind_answer(self, town: IngressTown, kind: str) -> None:
        self.answers(town, FULL[kind])
