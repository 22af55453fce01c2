"""The predefined network when the daemon starts with other settings than the last time."""

from ipaddress import IPv4Interface

import pytest

from sdd import errors
from sdd.model import request
from sdd.store.memory import MemoryStore
from tests.scenario import laws
from tests.scenario.node import node


@pytest.mark.parametrize(
    ("bip", "mtu", "subnet"),
    [
        ("10.9.0.1/24", 0, "10.9.0.0/24"),
        (None, 1400, "172.17.0.0/16"),
        ("10.9.0.1/24", 1400, "10.9.0.0/24"),
    ],
    ids=["bip", "mtu", "both"],
)
async def test_an_unused_default_network_is_made_anew_as_the_settings_say(
    bip: str | None, mtu: int, subnet: str
) -> None:
    store = MemoryStore()
    async with node(store) as one:
        before = await one.commands.ensure_default_network()
    async with node(store, bip=IPv4Interface(bip) if bip else None, mtu=mtu, seed=2) as one:
        after = await one.commands.ensure_default_network()
        assert after == await one.commands.ensure_default_network()
        assert [each.id for each in one.state.networks.values()] == [after.id] != [before.id]
        assert ([str(pool.subnet) for pool in after.pools], after.mtu) == ([subnet], mtu)
        await laws.check(one)


async def test_a_default_network_in_use_stays_and_the_start_says_who_must_go() -> None:
    store = MemoryStore()
    async with node(store) as one:
        await one.commands.ensure_default_network()
        on_it = request.Attachment(network="bridge")
        await one.commands.create_sandbox(request.SandboxCreate(name="web", attachments=(on_it,)))
    async with node(store, mtu=1400, seed=2) as one:
        with pytest.raises(errors.Conflict) as caught:
            await one.commands.ensure_default_network()
        assert caught.value.code == "SDD-NET-BIP"
