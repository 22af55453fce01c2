"""Which IP versions a new network shall have, said by flags or by Docker's options for them.

In: a request. Out: the request with both as flags. The options mean the same as the flags, so they
are not kept as options: `inspect` shows EnableIPv4 and EnableIPv6.
"""

from dataclasses import replace

from sdd import errors
from sdd.model import options, request

IPV4 = "com.docker.network.enable_ipv4"
IPV6 = "com.docker.network.enable_ipv6"


def said(asked: request.NetworkCreate) -> request.NetworkCreate:
    """`asked` with flags alone.

    Refused: SDD-NET-OPTION, for no truth value and for a contradiction; SDD-NET-SUBNET, for a
    subnet of a version that shall not be, and for no version at all.
    """
    ipv4, ipv6 = _read(asked, IPV4), _read(asked, IPV6)
    if ipv4 is not None and asked.ipv4 not in (None, ipv4):
        raise _wrong(asked, IPV4, f"says {str(ipv4).lower()} and --ipv4 the opposite")
    if asked.ipv6 and ipv6 is False:
        raise _wrong(asked, IPV6, "says false and --ipv6 the opposite")
    rest = {key: text for key, text in asked.options.items() if key not in (IPV4, IPV6)}
    whole = replace(
        asked,
        ipv4=asked.ipv4 if ipv4 is None else ipv4,
        ipv6=asked.ipv6 or bool(ipv6),
        options=rest if len(rest) < len(asked.options) else asked.options,
    )
    _check(whole, never_six=ipv6 is False)
    return whole


def _read(asked: request.NetworkCreate, key: str) -> bool | None:
    text = asked.options.get(key)
    if text is None:
        return None
    try:
        return options.to_bool(text)
    except ValueError as exc:
        raise _wrong(asked, key, str(exc)) from None


def _check(asked: request.NetworkCreate, *, never_six: bool) -> None:
    """Subnets of a version that shall not be, and no version at all."""
    given = {spec.subnet.version for spec in asked.pools if spec.subnet is not None}
    for version, never in ((4, asked.ipv4 is False), (6, never_six)):
        if never and version in given:
            raise errors.Invalid(
                f"network {asked.name!r}: it shall have no IPv{version}, and has a subnet of it",
                hint=f"leave out that subnet, or what says that there shall be no IPv{version}",
                code="SDD-NET-SUBNET",
            )
    if asked.ipv4 is False and not (asked.ipv6 or given or asked.config_from):
        raise errors.Invalid(
            f"network {asked.name!r}: without IPv4 and IPv6 it would have no address",
            hint="add --ipv6, or an IPv6 --subnet",
            code="SDD-NET-SUBNET",
        )


def _wrong(asked: request.NetworkCreate, key: str, why: str) -> errors.Invalid:
    return errors.Invalid(
        f"network {asked.name!r}: the option {key} {why}",
        hint="say each IP version once: --ipv4[=false], --ipv6",
        code="SDD-NET-OPTION",
    )
