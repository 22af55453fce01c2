"""Lines for people: bounded by kind, by time and by number."""

from resolver import notes


def test_a_kind_is_told_once_in_a_while_with_how_often_it_was() -> None:
    now = [0.0]
    told = notes.Notes(lambda: now[0])
    for _ in range(1000):
        told.note("a", "it happened")
    told.note("b", "something else")
    assert told.take() == ["it happened", "something else"]
    assert told.take() == []
    now[0] = notes.EVERY_S
    told.note("a", "it happened")
    assert told.take() == ["it happened (999 more before)"]


def test_whatever_happens_few_lines_are_kept() -> None:
    told = notes.Notes(lambda: 0.0)
    for number in range(10_000):
        told.note(f"kind {number}", f"line {number}")
    kept = told.take()
    assert len(kept) == notes.MOST
    assert kept[-1] == "line 9999"
    assert len(told._told) <= notes.KINDS
