"""Configuration-only networks (docker.md G12): what is made from them, and what is refused."""

from ipaddress import ip_address, ip_network

import pytest

from sdd import errors
from sdd.control import lookup
from sdd.model import network, request
from tests.scenario import laws
from tests.scenario.node import Node, node

MACVLAN = network.Driver.MACVLAN
POOL = request.PoolSpec(subnet=ip_network("192.0.2.0/24"), ip_range=ip_network("192.0.2.64/26"))


async def template(one: Node, name: str = "conf", **said: object) -> None:
    asked = request.NetworkCreate(name=name, config_only=True, **said)  # type: ignore[arg-type]  # fields of one case each
    await one.commands.create_template(asked)


def made_from(config: str, **said: object) -> request.NetworkCreate:
    return request.NetworkCreate(**{"name": "net", "config_from": config} | said)  # type: ignore[arg-type]  # same


async def test_G12_a_network_is_made_as_its_configuration_says() -> None:
    async with node() as one:
        await template(
            one,
            pools=(POOL,),
            options={"parent": "eth0.10"},
            labels={"site": "north"},
            dns=(ip_address("9.9.9.9"),),
            dns_search=("example.org",),
        )
        made = await one.commands.create_network(made_from("conf", driver=MACVLAN))
        assert (made.driver, made.options, made.labels) == (
            MACVLAN,
            {"parent": "eth0.10"},
            {"site": "north"},
        )
        assert [(pool.subnet, pool.ip_range) for pool in made.pools] == [
            (POOL.subnet, POOL.ip_range)
        ]
        assert (made.dns, made.dns_search) == ((ip_address("9.9.9.9"),), ("example.org",))
        assert made.template == lookup.template(one.state, "conf").id
        await laws.check(one)


async def test_G12_several_networks_can_be_made_from_one_that_names_no_subnet() -> None:
    async with node() as one:
        await template(one, ipv6=True)
        for name in ("one", "two"):
            made = await one.commands.create_network(made_from("conf", name=name, internal=True))
            assert (made.ipv6, made.internal) == (True, True)
        await laws.check(one)


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"pools": (POOL,)}, "pools"),
        ({"options": {"parent": "eth0"}}, "options"),
        ({"labels": {"a": "b"}}, "labels"),
        ({"ipv6": True}, "ipv6"),
    ],
)
async def test_G12_what_the_configuration_says_cannot_be_said_again(
    said: dict[str, object], word: str
) -> None:
    async with node() as one:
        await template(one)
        before = await one.keys()
        with pytest.raises(errors.Invalid, match=word) as caught:
            await one.commands.create_network(made_from("conf", **said))
        assert caught.value.code == "SDD-NET-CONFIG"
        assert await one.keys() == before


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"config_from": "conf"}, "another configuration"),
        ({"internal": True}, "internal"),
        ({"attachable": True}, "attachable"),
        ({"driver": MACVLAN}, "driver"),
    ],
)
async def test_G12_a_configuration_is_neither_chained_nor_a_network(
    said: dict[str, object], word: str
) -> None:
    async with node() as one:
        await template(one)
        with pytest.raises(errors.Invalid, match=word) as caught:
            await template(one, "other", **said)
        assert caught.value.code == "SDD-NET-CONFIG"


async def test_G12_a_configuration_goes_after_what_was_made_from_it() -> None:
    async with node() as one:
        await template(one)
        await one.commands.create_network(made_from("conf"))
        with pytest.raises(errors.Forbidden) as caught:
            await one.commands.remove_template("conf")
        assert caught.value.sentence == "configuration network conf is in use by network net"
        await one.commands.remove_network("net")
        await one.commands.remove_template("conf")
        assert one.state.templates == {}
        await laws.check(one)


async def test_G15_networks_and_configurations_share_their_names() -> None:
    async with node() as one:
        await template(one)
        with pytest.raises(errors.Conflict, match="already exists"):
            await one.commands.create_network(request.NetworkCreate(name="conf"))
        await one.commands.create_network(request.NetworkCreate(name="net"))
        with pytest.raises(errors.Conflict, match="already exists"):
            await template(one, "net")
        with pytest.raises(errors.Invalid, match="not a configuration"):
            await one.commands.create_network(made_from("net", name="third"))


async def test_nothing_connects_to_a_configuration() -> None:
    async with node() as one:
        await template(one)
        plug = request.Attachment(network="conf")
        with pytest.raises(errors.Invalid, match="configuration only") as caught:
            await one.commands.create_sandbox(request.SandboxCreate(name="a", attachments=(plug,)))
        assert "--config-from conf" in caught.value.hint
        with pytest.raises(errors.Invalid, match="configuration only"):
            await one.commands.create_service(request.ServiceCreate(name="s", network="conf"))


async def test_a_configuration_that_fits_no_driver_is_told_when_it_is_used() -> None:
    async with node() as one:
        await template(one, options={"parent": "eth0"})
        with pytest.raises(errors.Invalid, match="parent is not known"):
            await one.commands.create_network(made_from("conf"))
        assert set(one.state.templates) != set()
