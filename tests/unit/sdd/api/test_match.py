import pytest

from sdd import errors
from sdd.api import match
from sdd.api.routes import PROBES, ROUTES


def test_a_ref_may_hold_an_escaped_slash() -> None:
    route, values = match.find(ROUTES, "GET", "/v1/networks/a%2Fb%20c")
    assert (route.action, values) == ("network_inspect", {"ref": "a/b c"})


def test_two_values_in_a_path() -> None:
    route, values = match.find(ROUTES, "PATCH", "/v1/services/web/members/w1")
    assert (route.action, values) == ("service_set_weight", {"ref": "web", "sandbox": "w1"})


def test_the_methods_there_are_told() -> None:
    with pytest.raises(errors.NoSuchMethod, match="only DELETE, GET"):
        match.find(ROUTES, "POST", "/v1/networks/x")


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/networks/", "/v1/networks//connect", "*"])
def test_nothing_there(path: str) -> None:
    with pytest.raises(errors.NotFound):
        match.find(ROUTES, "GET", path)


def test_no_two_rows_are_the_same_door() -> None:
    rows = [(each.method, each.path) for each in (*ROUTES, *PROBES)]
    assert len(rows) == len(set(rows))
    actions = [each.action for each in ROUTES]
    assert len(actions) == len(set(actions))


def test_whatever_changes_something_needs_an_admin() -> None:
    for route in ROUTES:
        assert route.access == "admin" or route.method == "GET", route
