"""`--health` → the body's form: one word that says what is asked of a backend."""

import re
from typing import Any

import click

from sdd.cli.params import DURATION, MAX_PORT

FORMS = (
    "tcp:PORT, http://[HOST]:PORT/PATH, https://…, tls:PORT[/NAME], udp:PORT, dns:PORT/NAME, "
    "ttl:30s, exec:COMMAND or none"
)
_URL = re.compile(r"(https?)://([A-Za-z0-9._-]*):([0-9]+)(/\S*)?")


class Health(click.ParamType[dict[str, Any]]):
    """A check in one word."""

    name = "check"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        """Kind, port and what else the kind needs."""
        if isinstance(value, dict):
            return value
        if value == "none":
            return {"kind": "none"}
        if url := _URL.fullmatch(value):
            kind, host, port, path = url.groups()
            found = {"kind": kind, "port": int(port), "host": host, "path": path or "/"}
        else:
            found = self._worded(value, param, ctx)
        if found.get("port", 1) not in range(1, MAX_PORT + 1):
            self.fail(f'"{value}": the port is not between 1 and {MAX_PORT}', param, ctx)
        return found

    def _worded(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        kind, _, rest = value.partition(":")
        port, _, name = rest.partition("/")
        if kind == "exec" and rest:
            return {"kind": kind, "command": rest}
        if kind == "ttl":
            # A member's own word counts at once, unless people say how many it takes.
            return {"kind": kind, "ttl_s": DURATION.convert(rest, param, ctx), "rise": 1, "fall": 1}
        named = kind == "dns" if name else kind in ("tcp", "udp")
        if not (port.isascii() and port.isdigit() and (named or kind == "tls")):
            self.fail(f'"{value}" is not {FORMS}', param, ctx)
        return {"kind": kind, "port": int(port), "host": name}


class Statuses(click.ParamType[tuple[int, int]]):
    """200 or 200-399 → lowest and highest."""

    name = "statuses"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Both ends."""
        if isinstance(value, tuple):
            return value
        low, _, high = value.partition("-")
        if not (low.isdigit() and (high or low).isdigit()):
            self.fail(f'"{value}" is no HTTP status or range such as 200-399', param, ctx)
        return int(low), int(high or low)


HEALTH = Health()
STATUSES = Statuses()
