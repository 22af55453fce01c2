"""Driver options as the commands take and refuse them."""

from ipaddress import ip_network

import pytest

from sdd import errors
from sdd.model import network, request
from tests.scenario.node import node

BRIDGE = "com.docker.network.bridge."


def asked(name: str, **said: object) -> request.NetworkCreate:
    return request.NetworkCreate(name=name, **said)  # type: ignore[arg-type]  # fields of one case each


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({f"{BRIDGE}gateway_mode_ipv4": "natty"}, "routed"),
        ({f"{BRIDGE}enable_icc": "maybe"}, "true or false"),
        ({f"{BRIDGE}enable_iccc": "true"}, "enable_icc"),
        ({f"{BRIDGE}gateway_mode_ipv4": "isolated"}, "--internal"),
        ({"macvlan_mode": "bridge"}, "known"),
    ],
)
async def test_a_bad_option_is_refused_with_what_would_do(
    options: dict[str, str], word: str
) -> None:
    async with node() as one:
        before = one.feed.state
        with pytest.raises(errors.Invalid) as caught:
            await one.commands.create_network(asked("n", options=options))
        assert caught.value.code == "SDD-NET-OPTION"
        assert word in f"{caught.value.sentence} {caught.value.hint}"
        assert one.feed.state is before


@pytest.mark.parametrize(
    ("options", "internal"),
    [
        ({f"{BRIDGE}gateway_mode_ipv4": "isolated"}, True),
        ({f"{BRIDGE}inhibit_ipv4": "true"}, True),
    ],
)
async def test_C77_without_a_gateway_a_31_has_room_for_two(
    options: dict[str, str], internal: bool
) -> None:
    pools = (request.PoolSpec(subnet=ip_network("192.168.135.0/31")),)
    async with node() as one:
        made = await one.commands.create_network(
            asked("tiny", options=options, internal=internal, pools=pools)
        )
        assert made.pools[0].gateway is None
        for name in ("a", "b"):
            await one.commands.create_sandbox(
                request.SandboxCreate(name=name, attachments=(request.Attachment(network="tiny"),))
            )
        taken = {str(ip) for each in one.feed.state.endpoints.values() for ip in each.hosts}
        assert taken == {"192.168.135.0", "192.168.135.1"}


async def test_the_prefix_option_names_the_links() -> None:
    async with node() as one:
        made = await one.commands.create_network(
            asked("n", options={"com.docker.network.container_iface_prefix": "lan"})
        )
        await one.commands.create_sandbox(
            request.SandboxCreate(name="a", attachments=(request.Attachment(network="n"),))
        )
        (end,) = one.feed.state.endpoints_by_network[made.id]
        assert end.ifname == "lan0"
    assert made.driver is network.Driver.BRIDGE
