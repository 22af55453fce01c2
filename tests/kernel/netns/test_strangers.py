"""Who on the wire has an address: machines that know nothing of us are asked, and answer."""

import asyncio
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from netns.kernel import strangers
from tests.kernel.netns import outside
from tests.kernel.netns.conftest import Host, run_in
from tests.kernel.netns.outside import HOST4, HOST6, THERE4, THERE6

pytestmark = pytest.mark.kernel

TRIES = 100
FREE = ("192.0.2.77", "2001:db8::77")


@pytest.fixture
def neighbour(host: Host) -> Iterator[str]:
    with outside.neighbour(host) as path:
        yield path


async def ask(host: Host, *asked: str, link: str = "up0") -> dict[str, str]:
    found = await strangers.ask(host.doors, link, [ip_address(each) for each in asked])
    return {str(ip): who for ip, who in found.items()}


async def ends_early(host: Host, *asked: str, link: str = "up0") -> bool:
    """Whether anything is known before a wait is over; of many tries, for the machine may be busy."""
    loop = asyncio.get_running_loop()
    for _ in range(TRIES):
        began = loop.time()
        await ask(host, *asked, link=link)
        if loop.time() - began < strangers.WAIT_S:
            return True
    return False


def mac(path: str) -> str:
    return run_in(path, "ip", "-br", "link", "show", "eth0").split()[2]


async def test_U38_a_neighbour_says_which_addresses_it_has(host: Host, neighbour: str) -> None:
    found = await ask(host, THERE4, THERE6, *FREE)
    machine = f"another machine, {mac(neighbour)}"
    assert found == {THERE4: machine, THERE6: machine} | dict.fromkeys(FREE, "")


async def test_no_cache_of_a_neighbour_changes(host: Host, neighbour: str) -> None:
    before = run_in(neighbour, "ip", "neigh")
    await ask(host, THERE4, THERE6, *FREE)
    assert run_in(neighbour, "ip", "neigh") == before


async def test_the_hosts_own_addresses_are_known(host: Host, neighbour: str) -> None:
    assert neighbour
    assert await ask(host, HOST4, HOST6) == dict.fromkeys((HOST4, HOST6), "this host itself")


async def test_an_answer_from_everybody_ends_the_wait(host: Host, neighbour: str) -> None:
    assert neighbour
    assert await ends_early(host, THERE4, THERE6)


@pytest.mark.parametrize("state", ["absent", "down"])
async def test_a_link_that_carries_nothing_has_nobody(host: Host, state: str) -> None:
    if state == "down":
        host.run("ip", "link", "add", "up0", "type", "veth", "peer", "up1")
    assert await ask(host, *FREE) == dict.fromkeys(FREE, "")
    assert host.run("ip", "maddress", "show", "dev", "up0", check=False).count("33:33") <= 2


async def test_a_neighbour_that_floods_keeps_nobody(host: Host, neighbour: str) -> None:
    outside_in = ("ping", "-6", "-f", "-q", "-w", "2", HOST6)
    flood = asyncio.create_subprocess_exec("nsenter", f"--net={neighbour}", *outside_in, stdout=-3)
    process = await flood
    try:
        assert (await ask(host, THERE6, FREE[1]))[THERE6] != ""
    finally:
        process.terminate()
        await process.wait()


async def test_neighbours_behind_a_bridge_are_asked_and_one_without_any_is_passed(
    host: Host, neighbour: str
) -> None:
    host.run("ip", "link", "add", "br9", "type", "bridge")
    host.run("ip", "link", "set", "br9", "up")
    assert await ask(host, THERE4, *FREE, link="br9") == dict.fromkeys((THERE4, *FREE), "")
    assert await ends_early(host, THERE4, *FREE, link="br9")
    host.run("ip", "link", "set", "up0", "master", "br9")
    machine = f"another machine, {mac(neighbour)}"
    found = await ask(host, THERE4, THERE6, *FREE, link="br9")
    assert found == {THERE4: machine, THERE6: machine} | dict.fromkeys(FREE, "")
