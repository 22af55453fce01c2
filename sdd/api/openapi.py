"""The route table → an OpenAPI 3.1 document: nothing in it is written by hand twice."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from sdd.api import schema
from sdd.api.call import Access, Call, Reply
from sdd.api.context import Context
from sdd.api.routes import ANYTHING, PROBES, ROUTES, Route

PROBLEM = {
    "type": "object",
    "required": ["error", "hint", "code", "status", "exit"],
    "properties": {
        "error": {"type": "string"},
        "hint": {"type": "string"},
        "code": {"type": "string"},
        "status": {"type": "integer"},
        "exit": {"type": "integer"},
    },
}


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The whole document; bodies are described by the types that the decoder reads."""
    taken: list[Any] = [row.takes for row in routes if row.takes is not None]
    kinds = [schema.struct(each) for each in taken]
    refs, components = msgspec.json.schema_components(
        kinds, schema_hook=_schema, ref_template="#/components/schemas/{name}"
    )
    bodies = dict(zip((kind.__name__ for kind in kinds), refs, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for row in routes:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row, bodies)
    return {
        "openapi": "3.1.0",
        "info": {"title": "sdd", "version": version},
        "paths": paths,
        "components": {"schemas": components | {"Problem": PROBLEM}},
    }


def _operation(row: Route, bodies: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": row.action,
        "x-access": row.access.value,
        "summary": (row.handler.__doc__ or "").splitlines()[0],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"\{(\w+)\}", row.path)
        ]
        + [
            {"name": name, "in": "query", "required": False, "schema": {"type": "string"}}
            for name in (row.query if row.query != ANYTHING else ())
        ],
        "responses": {
            "2XX": {"description": "done"},
            "default": {
                "description": "refused",
                "content": _json({"$ref": "#/components/schemas/Problem"}),
            },
        },
    }
    if row.takes is not None:
        found["requestBody"] = {"required": True, "content": _json(bodies[row.takes.__name__])}
    return found


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _schema(kind: type[Any]) -> dict[str, Any]:
    """The custom types of bodies are text on the wire."""
    return {"type": "string", "description": f"{kind.__name__} in its usual text form"}


async def _describe(context: Context, _call: Call) -> Reply:
    """The API described for programs."""
    return Reply(value=document((*ROUTES, *PROBES, DESCRIPTION), context.about.version))


DESCRIPTION = Route("GET", "/v1/openapi.json", Access.READ, _describe, "openapi")
