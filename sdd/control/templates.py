"""Configuration-only networks: made, applied to a network, removed (docker.md G12).

In: requests and the Ground. Out: plans, or the request as its template completes it. Whether what
a template says makes sense depends on the driver, so it is checked when a network is made of it.
"""

from dataclasses import replace

from sdd import errors
from sdd.control import keys, lookup, subnets
from sdd.control.ground import Draft, Ground, Plan
from sdd.model import ids, network, request
from sdd.model.template import Template
from sdd.state import ClusterState

KIND = "network"  # one space of names for both
GIVEN_TWICE = ("pools", "ipv4", "ipv6", "options", "labels")


def create(ground: Ground, asked: request.NetworkCreate) -> Plan[Template]:
    """A new template; its name is checked by the caller.

    Refused: SDD-NET-CONFIG, and what `subnets.check_specs` refuses.
    """
    if asked.config_from:
        raise _refused(asked, "a configuration cannot be made from another configuration")
    for field in ("internal", "attachable"):
        if getattr(asked, field):
            raise _refused(
                asked, f"a configuration cannot be {field}: each network made from it says that"
            )
    if asked.driver is not network.Driver.BRIDGE:  # the default: a driver cannot be left out
        raise _refused(asked, "a configuration has no driver: each network made from it has one")
    subnets.check_specs(asked)
    made = Template(
        id=ids.NetworkId(ground.new_id()),
        name=asked.name,
        pools=asked.pools,
        ipv4=asked.ipv4,
        ipv6=asked.ipv6,
        options=asked.options,
        labels=asked.labels,
        dns=asked.dns,
        dns_search=asked.dns_search,
        dns_zones=asked.dns_zones,
        created=ground.at,
    )
    draft = Draft(ground)
    draft.create(made)
    draft.claim(keys.name(KIND, made.name), made.id)
    return draft.plan(made, {made.id})


def applied(
    now: ClusterState, asked: request.NetworkCreate
) -> tuple[request.NetworkCreate, Template | None]:
    """`asked` with what its template says, and the template. Refused: SDD-NET-CONFIG."""
    if not asked.config_from:
        return asked, None
    of = lookup.template(now, asked.config_from)
    for field in GIVEN_TWICE:
        if getattr(asked, field) or (field == "ipv4" and asked.ipv4 is not None):
            raise _refused(
                asked, f"{field} come from the configuration {of.name} and cannot be given as well"
            )
    whole = replace(
        asked,
        pools=of.pools,
        ipv4=of.ipv4,
        ipv6=of.ipv6,
        options=of.options,
        labels=of.labels,
        dns=asked.dns or of.dns,
        dns_search=asked.dns_search or of.dns_search,
        dns_zones=asked.dns_zones or of.dns_zones,
    )
    return whole, of


def remove(ground: Ground, ref: str) -> Plan[Template]:
    """Nothing of the template remains. Refused: SDD-NET-INUSE."""
    of = lookup.template(ground.now, ref)
    users = sorted(net.name for net in ground.now.networks.values() if net.template == of.id)
    if users:
        raise errors.Forbidden(
            f"configuration network {of.name} is in use by network {', '.join(users)}",
            hint=f"remove what was made from it first: sdctl network rm {users[0]}",
            code="SDD-NET-INUSE",
        )
    draft = Draft(ground)
    draft.remove(of)
    draft.delete(keys.name(KIND, of.name))
    return draft.plan(of, {of.id})


def _refused(asked: request.NetworkCreate, why: str) -> errors.Invalid:
    return errors.Invalid(
        f"network {asked.name!r}: {why}",
        hint="first: sdctl network create CONFIG --config-only --subnet …, then:"
        " sdctl network create NAME --config-from CONFIG -d DRIVER",
        code="SDD-NET-CONFIG",
    )
