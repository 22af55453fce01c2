"""(method, raw path) → the route and the values in its path; errors that name what there is."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import unquote

from sdd import errors
from sdd.api import body
from sdd.api.routes import ANYTHING, Route

NEAR = 200  # characters of a path that are compared with those there are


def find(routes: Sequence[Route], method: str, raw_path: str) -> tuple[Route, Mapping[str, str]]:
    """The one row that fits; raises NotFound for the path, NoSuchMethod for the method.

    Parts are split before they are unquoted, so a ref may hold an escaped slash.
    """
    parts = [unquote(part) for part in raw_path.split("/")]
    fitting = [(row, values) for row in routes if (values := _values(row, parts)) is not None]
    if not fitting:
        raise _nothing(routes, raw_path)
    for row, values in fitting:
        if row.method == method:
            return row, values
    allowed = ", ".join(sorted({row.method for row, _ in fitting}))
    raise errors.NoSuchMethod(
        f"{errors.shortened(raw_path)} does not take {method[:20]}, only {allowed}",
        allowed=allowed,
        hint=f"what each path takes: {body.DESCRIPTION}",
    )


def check_query(row: Route, names: Iterable[str]) -> None:
    """Raises Invalid for a name that the query of `row` does not have: it would change nothing."""
    unknown = sorted(set(names) - set(row.query)) if row.query != ANYTHING else ()
    for name in unknown:
        near = difflib.get_close_matches(name[:NEAR], row.query, n=1)
        there = f"it has: {', '.join(row.query)}" if row.query else "it has none"
        raise errors.Invalid(
            f"the query of {row.method} {row.path} has no {errors.quoted(name)}",
            hint=f"did you mean {near[0]}?" if near else there,
            code="SDD-API-QUERY",
        )


def _nothing(routes: Sequence[Route], raw_path: str) -> errors.NotFound:
    near = difflib.get_close_matches(raw_path[:NEAR], {row.path for row in routes}, n=1)
    return errors.NotFound(
        f"there is nothing at {errors.shortened(raw_path) or 'an empty path'}",
        hint=f"did you mean {near[0]}?" if near else f"all paths: {body.DESCRIPTION}",
        code="SDD-API-PATH",
    )


def _values(route: Route, parts: Sequence[str]) -> Mapping[str, str] | None:
    wanted = route.path.split("/")
    if len(wanted) != len(parts):
        return None
    values: dict[str, str] = {}
    for template, part in zip(wanted, parts, strict=True):
        if template.startswith("{"):
            if not part:
                return None
            values[template[1:-1]] = part
        elif template != part:
            return None
    return values
