"""What people type → the values of request bodies; whatever is wrong is a usage error (exit 2).

Addresses stay text: the daemon decides about them. Here only their form is checked.
"""

import re
from typing import Any

import click

from sdd import errors

UNITS_S = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(ns|us|ms|s|m|h)")
MAX_PORT = 65535


class Duration(click.ParamType[float]):
    """Go's durations, as in Docker: 0.5s, 2s, 1m, 1m30s → seconds. A bare number is refused."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        parts = list(DURATION_PART.finditer(value))
        if not parts or "".join(each.group() for each in parts) != value:
            self.fail(f'"{value}" is not a duration such as 500ms, 2s or 1m30s', param, ctx)
        return sum(float(each.group(1)) * UNITS_S[each.group(2)] for each in parts)


class Seconds(Duration):
    """The same, and a bare number is one of seconds, as `ipvsadm -p` has it."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds."""
        is_bare = isinstance(value, str) and value.isascii() and value.isdecimal()
        return super().convert(f"{value}s" if is_bare else value, param, ctx)


class Number(click.IntRange):
    """A whole number between bounds, either of which may be missing."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        try:
            found = int(value)
        except ValueError:
            found = None
        is_low = found is None or (self.min is not None and found < self.min)
        if found is None or is_low or (self.max is not None and found > self.max):
            self.fail(f'"{value}" is not a whole number{self._bounds()}', param, ctx)
        return found

    def _bounds(self) -> str:
        if self.min is None and self.max is None:
            return ""
        if self.max is None:
            return f", {self.min} or more"
        return f" from {self.min} to {self.max}"


class Address(click.ParamType[str]):
    """An IPv4 or IPv6 address → text."""

    name = "ip"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address in its usual form."""
        from sdd.model import address

        try:
            return str(address.parse(value))
        except address.Zoned as exc:
            self.fail(str(exc), param, ctx)
        except ValueError:
            self.fail(f'"{value}" is not an IP address', param, ctx)


class AddressOf(Address):
    """An address of one IP version; one of the other is told the option for it."""

    def __init__(self, version: int, other: str) -> None:
        self._version = version
        self._other = other

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address in its usual form."""
        import ipaddress

        text = super().convert(value, param, ctx)
        if ipaddress.ip_address(text).version != self._version:
            self.fail(
                f'"{text}" is no IPv{self._version} address; for this one there is {self._other}',
                param,
                ctx,
            )
        return text


class Nameserver(click.ParamType[str]):
    """An address, or TRANSPORT://ADDRESS[:PORT][/PATH][#NAME] → text."""

    name = "ip|url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The server in its usual form."""
        from sdd.model import nameserver

        try:
            return str(nameserver.parse(value))
        except ValueError as exc:
            self.fail(f'"{value}" is no name server: {exc}', param, ctx)


class ForwardZone(click.ParamType[dict[str, str]]):
    """ZONE=SERVER → the body's object; with `whole` a ZONE alone is all its servers: ""."""

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self.name = "zone[=server]" if whole else "zone=server"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, str]:
        """The zone as it is, for the daemon to look at; the server in its usual form."""
        zone, equals, server = value.partition("=")
        if zone and not equals and self._whole:
            return {"zone": zone, "server": ""}
        if not (zone and equals):
            self.fail(f'"{value}" is not ZONE=SERVER, such as corp.local=10.1.0.53', param, ctx)
        return {"zone": zone, "server": NAMESERVER.convert(server, param, ctx)}


class Cidr(click.ParamType[str]):
    """A subnet → text. Host bits pass: the daemon's answer names the right form."""

    name = "cidr"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text as typed."""
        from sdd.model import subnet

        try:
            subnet.loose(value)
        except errors.Invalid as exc:
            self.fail(f"{exc.sentence}; {exc.hint}", param, ctx)
        return str(value)


class Pair(click.ParamType[tuple[str, str]]):
    """KEY=VALUE → (key, value); `bare` allows KEY alone, as in Docker's labels."""

    name = "key=value"

    def __init__(self, *, bare: bool) -> None:
        self._bare = bare

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """The two sides of the first equals sign."""
        if isinstance(value, tuple):
            return value
        key, equals, rest = value.partition("=")
        if not key or not (equals or self._bare):
            self.fail(f'"{value}" is not of the form KEY=VALUE', param, ctx)
        return key, rest


class Word(click.ParamType[str]):
    """A name or an option that ends up in a file of the sandbox: no blank, nothing unprintable."""

    name = "word"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it is."""
        text = str(value)
        if not text.isprintable() or any(map(str.isspace, text)):
            self.fail(f"{text!r} holds a blank or a control character", param, ctx)
        return text


GATEWAY = "host-gateway"


class ExtraHost(click.ParamType[dict[str, str]]):
    """HOST:IP or HOST=IP → the body's form. IPv6 addresses need no brackets; a host has no colon.

    HOST:host-gateway keeps the word in the address's place.
    """

    name = "host:ip"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, str]:
        """Name and address."""
        if isinstance(value, dict):
            return value
        name, mark, address = value.partition("=" if "=" in value else ":")
        if not mark or not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?", name):
            what = f'"{value}" is not of the form HOST:IP or HOST=IP (host "{name}")'
            self.fail(what, param, ctx)
        if address == GATEWAY:
            return {"name": name, "address": address}
        return {"name": name, "address": ADDRESS.convert(address.strip("[]"), param, ctx)}


class Attachment(click.ParamType[dict[str, Any]]):
    """NET[,ip=…,ip6=…,alias=…,mac=…,link-local-ip=…,gw-priority=…,driver-opt=K=V] → the form.

    As in Docker, an entry with commas of its own stands in quotation marks.
    """

    name = "network"
    KEYS = "ip, ip6, alias, mac, link-local-ip, gw-priority, driver-opt"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        """One attachment."""
        if isinstance(value, dict):
            return value
        first, *rest = _entries(value)
        found: dict[str, Any] = {"network": first.removeprefix("name="), "aliases": []}
        for each in rest:
            key, _, text = each.partition("=")
            match key:
                case "ip" | "ip6":
                    found[key] = PLUG_ADDRESSES[key].convert(text, param, ctx)
                case "alias":
                    found["aliases"].append(text)
                case "mac" | "mac-address":
                    found["mac"] = text
                case "link-local-ip":
                    address = ADDRESS.convert(text, param, ctx)
                    found.setdefault("link_local", []).append(address)
                case "gw-priority":
                    found["gw_priority"] = Number()(text, param, ctx)
                case "driver-opt":
                    option, said = OPTION.convert(text, param, ctx)
                    found.setdefault("driver_opts", {})[option] = said
                case _:
                    self.fail(f'"{key}" in "{value}" is not one of: {self.KEYS}', param, ctx)
        return found


def _entries(text: str) -> list[str]:
    """The parts between commas; quotation marks around a part keep its own commas."""
    if '"' not in text:
        return text.split(",")
    import csv

    try:
        (found,) = csv.reader((text,), strict=True)
    except csv.Error as exc:
        raise click.BadParameter(f"{text!r} cannot be taken apart: {exc}") from None
    return found


class Moment(click.ParamType[float]):
    """A point in time → seconds since the epoch: RFC 3339, seconds, or a duration before now."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds since the epoch; a time without a zone is local."""
        import time
        from datetime import datetime

        if isinstance(value, float):
            return value
        if re.fullmatch(r"[0-9]{1,11}(\.[0-9]+)?", value):
            return float(value)
        try:
            return datetime.fromisoformat(value).timestamp()
        except (ValueError, OverflowError):
            pass
        try:
            return time.time() - DURATION.convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f'"{value}" is no time such as 10m, 2026-01-02T03:04:05Z or 1767323045')


DURATION = Duration()
SECONDS = Seconds()
MOMENT = Moment()
ADDRESS = Address()
IP4 = AddressOf(4, "--ip6")
IP6 = AddressOf(6, "--ip")
PLUG_ADDRESSES = {"ip": AddressOf(4, "ip6="), "ip6": AddressOf(6, "ip=")}
NAMESERVER = Nameserver()
FORWARD_ZONE = ForwardZone()
FORWARD_ZONES = ForwardZone(whole=True)
CIDR = Cidr()
LABEL = Pair(bare=True)
OPTION = Pair(bare=False)
EXTRA_HOST = ExtraHost()
WORD = Word()
ATTACHMENT = Attachment()
