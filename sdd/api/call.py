"""One request and one answer as values, so that no handler knows aiohttp."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from sdd import errors

EMPTY: Mapping[str, str] = MappingProxyType({})
TRUE = frozenset({"1", "true", "yes"})
FALSE = frozenset({"", "0", "false", "no"})


class Access(StrEnum):
    """Who may call a route: anyone who can open the socket, or root and the group."""

    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a handler gets: parts of the path, the query, the raw body."""

    path: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    query: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    body: bytes = b""

    def text(self, name: str, default: str | None = None) -> str:
        """One value of the query; raises Invalid when it is needed and missing."""
        value = self.query.get(name, default)
        if value is None:
            raise errors.Invalid(
                f'the query needs "{name}"', hint=f"add it: ?{name}=…", code="SDD-API-QUERY"
            )
        return value

    def flag(self, name: str) -> bool:
        """A yes or no of the query, no when absent; raises Invalid for anything else."""
        value = self.query.get(name, "").lower()
        if value in TRUE or value in FALSE:
            return value in TRUE
        raise errors.Invalid(
            f'"{name}" in the query is true or false, not {errors.quoted(value)}',
            hint=f"such as ?{name}=true",
            code="SDD-API-QUERY",
        )

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """A number of the query within bounds; raises Invalid for anything else."""
        value = self.query.get(name)
        if value is None:
            return default
        try:
            found = float(value)
        except ValueError:
            found = float("nan")
        if low <= found <= high:
            return found
        raise errors.Invalid(
            f'"{name}" in the query is a number from {low:g} to {high:g},'
            f" not {errors.quoted(value)}",
            hint=f"such as ?{name}={default:g}",
            code="SDD-API-QUERY",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a handler gives: a value to be sent as JSON, `raw` bytes of another type, or a stream.

    `allow` are the methods of a path that does not take the one that was asked.
    A stream is sent as one JSON object per line, as they come; None in it is an empty line.
    """

    value: object = None
    status: int = 200
    raw: bytes | None = None
    stream: AsyncGenerator[object, None] | None = None
    content_type: str = "application/json"
    allow: str = ""
