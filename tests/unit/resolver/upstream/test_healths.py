"""What is known of servers, and when it is forgotten."""

import itertools

from resolver import protocol
from resolver.names import answer
from resolver.upstream import healths

INSIDE, HOST = (protocol.Upstream("10.0.0.1", 53, inside=inside) for inside in (True, False))


def scope(sandbox: str) -> answer.Scope:
    return answer.Scope(sandbox, (), frozenset(), (INSIDE, HOST))


def store() -> healths.Healths:
    numbers = itertools.count(1)
    return healths.Healths(lambda _: next(numbers))


def test_what_is_inside_sandboxes_that_are_gone_is_forgotten() -> None:
    known = store()
    mark = known.of(INSIDE, scope("gone")).mark
    known.of(INSIDE, scope("stays"))
    host = known.of(HOST, scope("gone"))
    known.forget({"gone"})
    assert {key for key, _ in known.items()} == {(INSIDE, "stays"), (HOST, "")}
    assert known.marked(mark) is None
    assert known.of(HOST, scope("stays")) is host


def test_of_too_many_the_one_that_was_not_asked_for_longest_is_forgotten() -> None:
    known = store()
    kept, lost = (known.of(INSIDE, scope(name)) for name in ("kept", "lost"))
    for number in range(healths.MOST - 2):
        known.of(INSIDE, scope(str(number)))
    assert known.of(INSIDE, scope("kept")) is kept
    known.of(INSIDE, scope("one more"))
    assert known.marked(lost.mark) is None
    assert known.of(INSIDE, scope("kept")) is kept
    assert len(list(known.items())) == healths.MOST


def test_a_server_that_nobody_asks_is_known_for_a_while() -> None:
    known = store()
    for server, name in ((HOST, "any"), (INSIDE, "one"), (INSIDE, "two")):
        known.of(server, scope(name)).heard(100.0)
    asked = {(INSIDE, "one")}
    known.keep(asked, 100.0 + healths.IDLE_S - 1)
    assert len(list(known.items())) == 3
    known.of(HOST, scope("any")).erred("SERVFAIL", 200.0)
    known.keep(asked, 100.0 + healths.IDLE_S)
    assert {key for key, _ in known.items()} == {(HOST, ""), (INSIDE, "one")}
    known.keep(asked, 200.0 + healths.IDLE_S)
    assert {key for key, _ in known.items()} == asked
