"""What a check hears of a member, and what it lacks here."""

import errno
from dataclasses import replace
from ipaddress import ip_address

import pytest

from lb import unmade
from lb.checks import Check
from sdd.model import ids
from sdd.model.service import CheckKind, HealthCheck

HERE = Check(
    service=ids.ServiceId("web"),
    endpoint=ids.EndpointId("one"),
    address=ip_address("10.0.0.7"),
    how=HealthCheck(kind=CheckKind.TCP, port=80),
    joined=0.0,
    home="/ns/one",
)
AT_HOME = replace(HERE, inside="/ns/one")
BY_INGRESS = replace(HERE, inside="/ns/ingress", is_ingress=True)
IPV6 = replace(HERE, address=ip_address("fd00::7"))


@pytest.mark.parametrize(
    "code",
    [
        errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS,
        errno.EADDRNOTAVAIL, errno.EAGAIN, errno.EPERM, errno.EAFNOSUPPORT,
    ],
)  # fmt: skip
def test_a_lack_is_of_whoever_checks_wherever_that_is(code: int) -> None:
    for check in (HERE, AT_HOME, BY_INGRESS, IPV6):
        assert unmade.is_ours(OSError(code, "why"), check)


@pytest.mark.parametrize(
    "code", [errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.EPIPE]
)
def test_what_comes_from_the_wire_is_heard(code: int) -> None:
    for check in (HERE, AT_HOME, BY_INGRESS, IPV6):
        assert not unmade.is_ours(OSError(code, "why"), check)


@pytest.mark.parametrize("code", [errno.ENETUNREACH, errno.ENETDOWN, errno.EINVAL])
def test_a_route_is_of_the_namespace_that_has_none(code: int) -> None:
    assert unmade.is_ours(OSError(code, "why"), HERE)
    assert unmade.is_ours(OSError(code, "why"), BY_INGRESS)
    assert not unmade.is_ours(OSError(code, "why"), AT_HOME)


def test_a_firewall_that_prohibits_is_heard_by_ipv6() -> None:
    assert not unmade.is_ours(OSError(errno.EACCES, "why"), IPV6)
    assert unmade.is_ours(OSError(errno.EACCES, "why"), HERE)


def test_words_without_a_number_are_the_members() -> None:
    assert not unmade.is_ours(OSError("no HTTP answer"), HERE)
