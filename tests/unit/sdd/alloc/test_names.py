"""Which names objects may have."""

import functools

import pytest

from sdd import errors
from sdd.alloc import names


@pytest.mark.parametrize("name", ["a", "web-1", "my_net", "a.b.c", "0", "A" * 63, "app.v1-2_x"])
def test_good_names(name: str) -> None:
    assert names.checked("sandbox", name) == name
    assert names.checked_service(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../evil", "-a", "_a", "a/b", "a b", "a\n", "ä", "a.", "A" * 64, "a:b"]
)
def test_bad_names(name: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        names.checked("network", name)
    assert caught.value.code == "SDD-NET-NAME"
    assert repr(name) in caught.value.sentence


@pytest.mark.parametrize("name", ["tasks.web", "TASKS.web"])
def test_tasks_names_are_the_members(name: str) -> None:
    with pytest.raises(errors.Invalid, match="members"):
        names.checked_service(name)


@pytest.mark.parametrize("name", ["db", "db.example.com", "_dmarc.x", "a-b", "1"])
def test_good_host_names(name: str) -> None:
    assert names.checked_host("alias", name) == name


@pytest.mark.parametrize("domain", [".", "corp", "corp.example", "corp.example.", "_x.y"])
def test_good_search_domains(domain: str) -> None:
    assert names.checked_search(domain)


@pytest.mark.parametrize("domain", ["", "..", "a b", "a\n", "-"])
def test_bad_search_domains(domain: str) -> None:
    with pytest.raises(errors.Invalid):
        names.checked_search(domain)


@pytest.mark.parametrize(
    "option", ["ndots:2", "rotate", "edns0", "no-tld-query", "attempts:1", "ndots:-1"]
)
def test_good_dns_options(option: str) -> None:
    assert names.checked_option(option) == option


@pytest.mark.parametrize("option", ["", "a b", "ndots:", "ndots:1\nx", "Rotate", "a" * 64, "#x"])
def test_bad_dns_options(option: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        names.checked_option(option)
    assert caught.value.code == "SDD-NAME-OPTION"


@pytest.mark.parametrize("name", ["localhost", "LocalHost", "db.localhost"])
def test_A8_17_nobody_can_be_called_localhost(name: str) -> None:
    checks = (
        functools.partial(names.checked, "sandbox"),
        functools.partial(names.checked, "network"),
        functools.partial(names.checked_owned, "alias"),
        names.checked_service,
    )
    for check in checks:
        with pytest.raises(errors.Invalid) as caught:
            check(name)
        assert caught.value.code == "SDD-NAME-LOCALHOST"
    assert names.checked_owned("alias", f"{name}s") == f"{name}s"


@pytest.mark.parametrize("name", ["", "a..b", "-a", "a-", "a b", "a.", "x" * 64, "a." * 126 + "aa"])
def test_bad_host_names(name: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        names.checked_host("alias", name)
    assert caught.value.code == "SDD-NAME-HOST"
