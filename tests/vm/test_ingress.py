"""Ports that every node opens, balanced by IPVS. Needs the lab kernel."""

from collections.abc import Iterator

import pytest

from lb.kernel import ipvs
from sdd.linux import namespaces
from tests.kernel.ingress_town import IngressTown
from tests.kernel.ingress_traffic import ALL, IngressTraffic
from tests.kernel.ingress_ways import FULL, IngressWays

pytestmark = pytest.mark.vm


def balancer(doors: namespaces.Namespaces) -> ipvs.IpvsKernel:
    found = ipvs.available()
    assert found is not None, "the lab kernel has ip_vs"
    return ipvs.IpvsKernel(doors, found[0])


@pytest.fixture(scope="module")
def town() -> Iterator[IngressTown]:
    built = IngressTown("ingv", balancer)
    yield built
    built.close()


class TestTraffic(IngressTraffic):
    """The suite of nftables."""


class TestWays(IngressWays):
    """With the kinds of networks that this kernel has beside those of every kernel."""

    @pytest.mark.parametrize("kind", FULL)
    def test_members_on_networks_of_every_kind_answer(self, town: IngressTown, kind: str) -> None:
        self.answers(town, FULL[kind])


@pytest.mark.parametrize(
    "damage",
    [
        "ipvsadm -C",
        "nft flush map inet sdd-lb mark4",
        "nft flush chain inet sdd-lb arriving",
        "nft flush chain inet sdd-lb input",
    ],
)
def test_what_hands_change_in_ipvs_is_mended(town: IngressTown, damage: str) -> None:
    town.inside("ingress-sbox", *damage.split())
    assert town.mend() > 0
    assert town.who(9) == ALL
