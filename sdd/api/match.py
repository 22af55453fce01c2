"""(method, raw path) → the route and the values in its path; errors that name what there is."""

from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from sdd import errors
from sdd.api.routes import Route


def find(routes: Sequence[Route], method: str, raw_path: str) -> tuple[Route, Mapping[str, str]]:
    """The one row that fits; raises NotFound for the path, NoSuchMethod for the method.

    Parts are split before they are unquoted, so a ref may hold an escaped slash.
    """
    parts = [unquote(part) for part in raw_path.split("/")]
    fitting = [(row, values) for row in routes if (values := _values(row, parts)) is not None]
    if not fitting:
        raise errors.NotFound(f"there is nothing at {raw_path[:200]}", code="SDD-API-PATH")
    for row, values in fitting:
        if row.method == method:
            return row, values
    allowed = ", ".join(sorted({row.method for row, _ in fitting}))
    raise errors.NoSuchMethod(f"{raw_path[:200]} does not take {method[:20]}, only {allowed}")


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
