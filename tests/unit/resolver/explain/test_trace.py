import pytest

from resolver.explain import query, trace
from resolver.protocol import Step


@pytest.mark.parametrize(
    ("name", "dots", "asked"),
    [
        ("web", 0, ["web.", "web.a.test.", "web.b.test."]),
        ("web", 1, ["web.a.test.", "web.b.test.", "web."]),
        ("web.x", 1, ["web.x.", "web.x.a.test.", "web.x.b.test."]),
        ("web.x", 2, ["web.x.a.test.", "web.x.b.test.", "web.x."]),
        ("web.", 5, ["web."]),
    ],
)
def test_a_look_up_asks_what_resolv_conf_says(name: str, dots: int, asked: list[str]) -> None:
    assert list(trace.candidates(name, ("a.test", ".", "b.test."), dots)) == asked


@pytest.mark.parametrize(
    ("steps", "source"),
    [
        ([("network a", "does not have it"), ("network b", "has it, with 1 record")], "network b"),
        ([("added hosts", "has it, with 1 record")], "added hosts"),
        ([("network a", "does not have it"), ("owned", "NXDOMAIN")], "sdd itself: NXDOMAIN"),
        ([("owned", "NXDOMAIN"), ("own zone", "lab.")], "own zone lab."),
        ([("zones", "none"), ("cache", "NOERROR, 4 s left")], "cache: NOERROR, 4 s left"),
        (
            [("upstream", "x"), ("tried", "x: timeout"), ("tried", "y over udp: NOERROR in 2 ms")],
            "upstream y over udp: NOERROR in 2 ms",
        ),
        (
            [("network a", "has it, as an alias of w.x."), ("tried", "y: NOERROR in 2 ms")],
            "network a, then upstream y: NOERROR in 2 ms",
        ),
        ([], ""),
    ],
)
def test_the_source_is_what_decided(steps: list[tuple[str, str]], source: str) -> None:
    made = trace.Attempt(
        name="web",
        rdtype="A",
        steps=tuple(Step(*each) for each in steps),
        reply=query.Reply(rcode="NOERROR"),
    )
    assert made.source == source


@pytest.mark.parametrize("rcode", ["SERVFAIL", query.TIMEOUT])
def test_of_several_vain_tries_the_last_is_told_as_such(rcode: str) -> None:
    steps = tuple(Step("tried", f"x: timeout in {s} ms") for s in ("1500.2", "2900.0", "448.5"))
    made = trace.Attempt(name="web", rdtype="A", steps=steps, reply=query.Reply(rcode=rcode))
    assert made.source == "upstream x: timeout in 448.5 ms, the last of 3 tries"


def test_only_tries_of_the_last_name_are_counted() -> None:
    others = Step("tried", "x over udp: NOERROR in 1.1 ms", 1)
    vain = [Step("tried", f"x: timeout in {n} ms", n) for n in (2, 3)]
    leads = Step("cut", "go is ours, which leads on to b.example")
    reply = query.Reply(rcode="SERVFAIL")
    sources = [
        trace.Attempt(name="web", rdtype="A", steps=tuple(steps), reply=reply).source
        for steps in ([others, leads, *vain], [others, leads, Step("cut", "not followed: …")])
    ]
    assert sources == [
        "upstream x: timeout in 3 ms, the last of 2 tries",
        "upstream x over udp: NOERROR in 1.1 ms",
    ]


def test_an_old_answer_is_the_source_only_when_it_was_given() -> None:
    steps = (Step("stale", "over since 48 s"), Step("tried", "y over udp: NOERROR in 2 ms"))
    renewed = query.Reply(rcode="NOERROR")
    given = query.Reply(rcode="NOERROR", explained=((3, "the upstream servers do not answer"),))
    theirs = query.Reply(rcode="NOERROR", explained=((3, ""),))
    sources = [
        trace.Attempt(name="web", rdtype="A", steps=steps, reply=each).source
        for each in (renewed, given, theirs)
    ]
    fresh = "upstream y over udp: NOERROR in 2 ms"
    assert sources == [fresh, "stale: over since 48 s", fresh]


def test_A8_112_who_passed_a_name_over_says_so_behind_the_failure() -> None:
    explained = ((13, "a moment ago"), (0, "passed over: web is ours"))
    made = trace.Attempt(
        name="web.corp.test.",
        rdtype="A",
        steps=(Step("cache", "SERVFAIL, 4 s left"),),
        reply=query.Reply(rcode="NXDOMAIN", explained=explained),
    )
    assert made.source == "cache: SERVFAIL, 4 s left, then passed over: web is ours"


CACHED = (Step("cache", "NOERROR, 60 s left"), Step("upstream", "x"))
LEADS = Step("cut", "go is ours, which leads on to b.example")


@pytest.mark.parametrize(
    ("steps", "is_known"),
    [
        (CACHED, True),
        ((*CACHED, LEADS, *CACHED), True),
        ((*CACHED, Step("cut", "1 records about other names")), True),
        ((*CACHED, LEADS, Step("upstream", "x"), Step("upstream", "y")), False),
        ((Step("stale", "over since 4 s"), Step("upstream", "x")), False),
    ],
)
def test_of_several_names_the_last_one_decides(steps: tuple[Step, ...], is_known: bool) -> None:
    assert trace.is_known(steps) == is_known


def test_what_was_tried_for_the_last_name_is_the_source() -> None:
    older = Step("tried", "x over udp: NOERROR in 2 ms", 1)
    before = (*CACHED, older, LEADS, Step("upstream", "x"))
    asked = older._replace(number=2)  # it took as long as the one before
    found = trace.news(before, (*before, asked))
    assert found == (asked,)
    steps = (*(each for each in before if each != older), *found)
    made = trace.Attempt(
        name="a.example.", rdtype="A", steps=steps, reply=query.Reply(rcode="NOERROR")
    )
    assert made.source == "upstream x over udp: NOERROR in 2 ms"
