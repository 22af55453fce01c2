"""The address pools that options of `network create` ask for.

In: --subnet, --gateway, --ip-range and --aux-address, as many as were given. Out: the request's
pools, each with what lies in its subnet.
"""

import ipaddress
from typing import Any

import click

from sdd.cli.params import ADDRESS


def asked_for(
    subnets: tuple[str, ...],
    gateways: tuple[str, ...],
    ranges: tuple[str, ...],
    aux: tuple[tuple[str, str], ...],
) -> list[dict[str, Any]]:
    """One pool per subnet, with the gateway, range and auxiliary addresses that lie in it.

    What lies in no subnet goes to the first one of its family, or to one of its own: the daemon's
    refusal then names both.
    """
    made: list[dict[str, Any]] = [{"subnet": each} for each in subnets]
    for gateway in gateways:
        _put(made, gateway, gateway, "gateway", "--gateway")
    for each in ranges:
        _put(made, each.partition("/")[0], each, "ip_range", "--ip-range")
    for name, address in aux:
        try:
            ADDRESS.convert(address, None, None)
        except click.BadParameter as exc:
            raise click.BadParameter(
                f'"{name}={address}": {exc.message}', param_hint="--aux-address"
            ) from None
        held = _home(made, address).setdefault("aux", {})
        if held.setdefault(name, address) != address:
            raise click.BadParameter(
                f'"{name}" is {held[name]} already and cannot be {address} too',
                param_hint="--aux-address",
            )
    return made


def _put(made: list[dict[str, Any]], address: str, value: str, key: str, option: str) -> None:
    pool = _home(made, address)
    if key not in pool:
        pool[key] = value
    elif ipaddress.ip_address(address) in _subnet(pool):
        raise click.BadParameter(
            f"the subnet {pool['subnet']} has {pool[key]} already and cannot have {value} too",
            param_hint=option,
        )
    else:
        made.append({key: value})


def _home(made: list[dict[str, Any]], address: str) -> dict[str, Any]:
    """The pool for `address`: the subnet that holds it, else the first of its IP version."""
    place = ipaddress.ip_address(address)
    nets = [(pool, _subnet(pool)) for pool in made if "subnet" in pool]
    inside = [pool for pool, net in nets if place in net]
    family = [pool for pool, net in nets if net.version == place.version]
    free = [pool for pool in made if "subnet" not in pool]
    if found := (inside or family or free):
        return found[0]
    made.append({})
    return made[-1]


def _subnet(pool: dict[str, Any]) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(pool.get("subnet", "::/128"), strict=False)
