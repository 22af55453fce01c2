"""While hands have the table away, packets wait for an address that nobody has; then they go on."""

import contextlib
import errno
import select
import socket
import time
from collections.abc import Iterator

import pytest

from lb import plan
from lb.kernel.nftables import NftablesKernel
from sdd.model.network import IPAddress
from tests.kernel import lb_traffic
from tests.kernel.lb_town import VIP, VIP6, Town
from tests.support import eventually

pytestmark = pytest.mark.kernel

HELD = 20
NEW = 5
# The kernel asks three times who has an address. With such a pause whoever waits until it gives up
# waits for minutes; what goes on goes on when TCP sends again: as late as what has passed.
PAUSE_S = 60
GOES_ON_S = 20
LOCKED = {errno.EINPROGRESS, errno.EAGAIN}


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    built = Town("gap")
    yield built
    built.close()


def waits(town: Town, vip: IPAddress) -> bool:
    """Whether the kernel asks on the wire whose address it is."""
    return "INCOMPLETE" in neighbours(town, vip)


def neighbours(town: Town, vip: IPAddress) -> str:
    return town.inside("client", "ip", "neigh", "show", "to", str(vip))


def begun(town: Town, vip: IPAddress) -> socket.socket:
    """A connection that is being made."""
    opened = town.opened("client", socket.SOCK_STREAM, vip.version)
    opened.setblocking(False)
    assert opened.connect_ex((str(vip), 80)) in LOCKED
    return opened


def until_ready(sockets: list[socket.socket], events: int, longest_s: float) -> None:
    """Until all of them are."""
    began = time.monotonic()
    poll = select.poll()
    waited = {each.fileno() for each in sockets}
    for each in waited:
        poll.register(each, events)
    while waited and time.monotonic() - began < longest_s:
        for each, _ in poll.poll(50):
            poll.unregister(each)
            waited.discard(each)
    assert not waited, f"{len(waited)} of {len(sockets)} still wait after {longest_s} s"


@pytest.mark.parametrize("vip", [VIP, VIP6])
async def test_what_was_sent_while_the_table_was_away_goes_on_when_it_is_back(
    town: Town, vip: IPAddress
) -> None:
    kernel, place = NftablesKernel(town.doors), town.place()
    await lb_traffic.put(kernel, town, lb_traffic.service(town, vip))
    want = await kernel.read(place)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(town.connect(to=vip)) for _ in range(HELD)]
        for each in held:
            each.sendall(b"who?")
            assert each.recv(100)
        asking = f"net.ipv{vip.version}.neigh.eth0.retrans_time_ms={PAUSE_S * 1000}"
        town.inside("client", "sysctl", "-qw", asking)
        town.nft("client", "delete table inet sdd-lb")
        sent = time.monotonic()
        for each in held:
            each.sendall(b"who?")
        new = [stack.enter_context(begun(town, vip)) for _ in range(NEW)]
        eventually(lambda: waits(town, vip), 30, "the kernel asks who has the virtual address")
        have = await kernel.read(place)
        assert (await kernel.apply(place, have, plan.diff(have, want))).refusals == ()
        passed_s = time.monotonic() - sent
        until_ready(held, select.POLLIN, passed_s + GOES_ON_S)
        assert all(each.recv(100) for each in held)
        until_ready(new, select.POLLOUT, passed_s + GOES_ON_S)
        assert {each.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for each in new} == {0}
    assert neighbours(town, vip) == ""
    await lb_traffic.put(kernel, town)
