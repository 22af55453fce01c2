"""Cookies of servers: what is sent, what is remembered, and when a reply proves nothing."""

import dns.edns
import dns.message
import pytest

from resolver.upstream import cookies, forward
from resolver.upstream.cookies import Cookies
from tests.unit.resolver.questions import data, query

OWN, THEIRS = b"ourcooky", b"their-own-cookie"


def asked(one: Cookies, now: float = 0.0) -> dns.message.Message:
    name = "www.example.org"
    cookie = one.option(now)
    sent = forward.question(data(name), query(name), 7, 0, mark=b"12345678", cookie=cookie)
    return dns.message.from_wire(sent.message)


def shown(message: dns.message.Message) -> bytes:
    """The cookie in a message; empty without one."""
    found = (each for each in message.options if int(each.otype) == cookies.CODE)
    return next((each.to_wire() or b"" for each in found), b"")


def reply(question: dns.message.Message, cookie: bytes = b"") -> bytes:
    made = dns.message.make_response(question)
    if cookie:
        made.use_edns(0, options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie)])
    return made.to_wire()


def test_what_the_server_gave_is_sent_with_ours() -> None:
    one = Cookies(OWN)
    first = asked(one)
    assert shown(first) == OWN
    assert one.proves(first.to_wire(), reply(first, OWN + THEIRS))
    second = asked(one)
    assert shown(second) == OWN + THEIRS
    assert one.proves(second.to_wire(), reply(second, OWN + THEIRS[::-1]))
    assert shown(asked(one)) == OWN + THEIRS[::-1]


def test_a_server_without_cookies_has_nothing_to_prove() -> None:
    one = Cookies(OWN)
    first = asked(one)
    assert one.proves(first.to_wire(), reply(first))
    assert shown(asked(one)) == OWN
    assert Cookies().proves(first.to_wire(), reply(first))


@pytest.mark.parametrize("theirs", [b"", b"short", bytes(33)])
def test_what_is_no_cookie_of_a_server_is_not_kept(theirs: bytes) -> None:
    one = Cookies(OWN)
    first = asked(one)
    assert one.proves(first.to_wire(), reply(first, OWN + theirs))
    assert shown(asked(one)) == OWN


def test_A8_52_who_has_not_seen_the_question_proves_nothing() -> None:
    one = Cookies(OWN, THEIRS)
    first = asked(one)
    for forged in (b"", OWN[::-1] + THEIRS, OWN[:-1] + b"x" + THEIRS):
        assert not one.proves(first.to_wire(), reply(first, forged))
    bare = forward.question(data("a.org"), query("a.org"), 7, 0, mark=None).message
    assert one.proves(bare, reply(dns.message.from_wire(bare)))  # nor was it to prove anything


def test_a_server_that_has_them_now_and_then_is_asked_without_for_a_while() -> None:
    one = Cookies(OWN, THEIRS)
    for _ in range(cookies.LOSSES - 1):
        one.lost(5.0)
        assert one.option(5.0)
    one.lost(5.0)
    assert shown(asked(one, 6.0)) == b""
    later = asked(one, 5.0 + cookies.PAUSE_S)
    assert shown(later) == OWN
    assert one.proves(later.to_wire(), reply(later))
