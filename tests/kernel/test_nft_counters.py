"""The kernel writes elements that count all alike: they need not be taken to pieces."""

from collections.abc import Iterator

import pytest

from lb.kernel import nft_counters, nft_counts, nft_netlink
from lb.kernel.nftables import NftablesKernel
from sdd.linux import netlink
from tests.contract import lb_kernel
from tests.kernel import lb_traffic
from tests.kernel.lb_town import VIP, Town

pytestmark = pytest.mark.kernel

COUNT = 500  # more than a reply holds


@pytest.fixture
def town() -> Iterator[Town]:
    built = Town("counters", backends=1)
    yield built
    built.close()


async def test_all_are_read_in_one_go(town: Town) -> None:
    kernel, place = NftablesKernel(town.doors), town.place()
    await lb_traffic.put(kernel, town, lb_kernel.virtual(VIP, 1))
    keys = [f"{VIP} . 10.9.{each // 250}.{each % 250}" for each in range(COUNT)]
    for name in ("began4", "sent4", "heard4"):
        those = (f"tcp . {key} counter packets {at} bytes 1{at}" for at, key in enumerate(keys))
        town.nft("client", f"add element inet sdd-lb {name} {{ {', '.join(those)} }}")

    def read() -> tuple[list[netlink.Reply], nft_counts.Counted]:
        with netlink.Connection(netlink.NETFILTER) as connection:
            return list(nft_netlink.listed(connection, "sent4")), nft_counts.read(connection)

    replies, counted = await town.doors.run(place.netns, read)
    assert len(replies) > 1
    assert all(nft_counters._alike(nft_netlink.told(each)) is not None for each in replies)
    found = {str(backend): count for (protocol, _, backend), count in counted.items()}
    assert len(found) == COUNT
    for at, key in enumerate(keys):
        of = int(f"1{at}")
        assert found[key.split(" . ")[1]] == nft_counts.Count(at, at, at, of, of)
