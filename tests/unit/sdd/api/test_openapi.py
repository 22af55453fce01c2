from typing import Any

from sdd.api import openapi
from sdd.api.routes import PROBES, ROUTES

DOCUMENT = openapi.document((*ROUTES, *PROBES), "1.2")


def test_every_route_is_described() -> None:
    found = {(m.upper(), path) for path, row in DOCUMENT["paths"].items() for m in row}
    assert found == {(row.method, row.path) for row in (*ROUTES, *PROBES)}


def test_bodies_refuse_unknown_fields_and_name_the_needed_ones() -> None:
    create = DOCUMENT["paths"]["/v1/networks"]["post"]
    assert create["x-access"] == "admin"
    schema = create["requestBody"]["content"]["application/json"]["schema"]
    network = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    assert network["required"] == ["name"]
    assert network["additionalProperties"] is False
    assert network["properties"]["dns"]["items"]["type"] == "string"


def test_queries_are_described() -> None:
    rows = DOCUMENT["paths"]["/v1/lb/trace"]["get"]["parameters"]
    assert [(each["name"], each["in"]) for each in rows] == [
        ("from", "query"),
        ("to", "query"),
        ("port", "query"),
        ("protocol", "query"),
    ]
    assert DOCUMENT["paths"]["/metrics"]["get"]["parameters"] == []


def refs(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if "$ref" in value else set()
        return own | {ref for each in value.values() for ref in refs(each)}
    if isinstance(value, list):
        return {ref for each in value for ref in refs(each)}
    return set()


def test_nothing_points_nowhere() -> None:
    names = {ref.removeprefix("#/components/schemas/") for ref in refs(DOCUMENT)}
    assert names <= DOCUMENT["components"]["schemas"].keys()
    assert names
