import pytest

from resolver.message import reply, wire
from resolver.message.wire import Rcode
from resolver.upstream import cache
from tests.unit.resolver.questions import data, query

ASKED = data("x.example")
FOUND = query("x.example")


def key(name: str = "x.example", partition: str = "p") -> cache.Key:
    return cache.Key(((), partition), wire.to_wire(name), 1, 1, 0)


def kept(lowest: int | None = 60, *, size: int = 0, rcode: Rcode = Rcode.NOERROR) -> reply.Reply:
    made = reply.failure(ASKED, FOUND, rcode)
    negative = None if rcode == Rcode.NOERROR else 30
    has_none = made.denies and (rcode != Rcode.NOERROR or lowest is None)
    image = made.image + bytes(size)
    return made._replace(image=image, lowest=lowest, negative=negative, denies=has_none)


def test_an_entry_lasts_as_long_as_its_lowest_ttl() -> None:
    store = cache.Cache()
    store.put(key(), kept(60), 100.0)
    found = store.get(key(), 159.9)
    assert found is not None
    assert found.age_s(159.9) == 59
    assert store.get(key(), 160.0) is None


def test_reading_never_extends_a_life() -> None:
    store = cache.Cache()
    store.put(key(), kept(60), 0.0)
    for second in range(60):
        assert store.get(key(), float(second))
    assert store.get(key(), 60.0) is None


def test_lifetimes_of_each_kind_of_reply() -> None:
    assert cache.lifetime_s(kept(99_999)) == 3600
    assert cache.lifetime_s(kept(0)) == 0
    assert cache.lifetime_s(kept(None, rcode=Rcode.NXDOMAIN)) == 30
    assert cache.lifetime_s(kept(None)) == 0  # NODATA without a SOA
    assert cache.lifetime_s(kept(None, rcode=Rcode.SERVFAIL)) == 5
    assert cache.lifetime_s(kept(60, rcode=Rcode.REFUSED)) == 0


@pytest.mark.parametrize("rcode", [Rcode.NOERROR, Rcode.NXDOMAIN])
@pytest.mark.parametrize(
    ("aliases_s", "soa_s", "lasts_s"),
    [(900, 5, 5), (2, 300, 2), (0, 300, 0), (900, 900, 300), (900, None, 0)],
)
def test_no_behind_aliases_lasts_as_long_as_the_shortest_of_both(
    rcode: Rcode, aliases_s: int, soa_s: int | None, lasts_s: int
) -> None:
    """RFC 2308 §5: of the name that was asked, which the aliases may lead elsewhere."""
    found = kept(aliases_s)._replace(answers=1, negative=soa_s, denies=True)
    found = found._replace(image=found.image[:3] + bytes((rcode,)) + found.image[4:])
    assert found.rcode == rcode
    assert cache.lifetime_s(found) == lasts_s
    assert cache.kind_of(found) == "denial"


def test_an_answer_that_may_not_be_kept_ends_the_older_one() -> None:
    for newer in (kept(0), kept(60, size=cache.MOST_ENTRY), kept(0, rcode=Rcode.NXDOMAIN)):
        store = cache.Cache()
        store.put(key(), kept(60), 0.0)
        store.put(key(), newer._replace(negative=0), 90.0)
        assert store.stale(key(), 91.0) is None
        assert (store.bytes, sum(store.kinds.values())) == (0, 0)


def test_what_says_nothing_of_the_name_leaves_the_older_answer() -> None:
    store = cache.Cache()
    store.put(key(), kept(60), 0.0)
    store.put(key(), kept(60, rcode=Rcode.REFUSED), 90.0)
    assert store.stale(key(), 91.0) is not None


def test_a_part_of_an_answer_leaves_the_older_whole_one() -> None:
    store = cache.Cache()
    store.put(key(), kept(60)._replace(answers=2), 0.0)
    store.put(key(), kept(60)._replace(answers=1, is_cut=True), 90.0)
    found = store.stale(key(), 91.0)
    assert found is not None
    assert found.reply.answers == 2
    store.put(key(), kept(60, rcode=Rcode.NXDOMAIN)._replace(is_cut=True), 92.0)
    assert store.stale(key(), 93.0) is None


def test_a_part_of_an_answer_ends_an_older_denial() -> None:
    store = cache.Cache()
    store.put(key(), kept(None, rcode=Rcode.NXDOMAIN), 0.0)
    store.put(key(), kept(60)._replace(answers=1, is_cut=True), 90.0)
    assert store.stale(key(), 91.0) is None


def test_partitions_see_nothing_of_each_other() -> None:
    store = cache.Cache()
    store.put(key(partition="one"), kept(), 0.0)
    assert store.get(key(partition="two"), 0.0) is None


def test_what_was_asked_from_inside_of_a_sandbox_goes_with_it() -> None:
    store = cache.Cache()
    for partition in ("one", "two", ""):
        store.put(key(partition=partition), kept(), 0.0)
        store.put(key("bad", partition), failure(), 0.0)
    store.forget({"one", "three"})
    for name in ("x.example", "bad"):
        assert store.get(key(name, "one"), 0.0) is None
        assert store.stale(key(name, "one"), 0.0) is None
        assert store.get(key(name, "two"), 0.0)
        assert store.get(key(name, ""), 0.0)
    assert store.kinds == {"success": 2, "denial": 0, "failure": 2}


def test_entries_are_bounded_and_the_least_used_go_first() -> None:
    store = cache.Cache(entries=3)
    for number in range(3):
        store.put(key(f"n{number}"), kept(), 0.0)
    store.get(key("n0"), 1.0)
    store.put(key("n3"), kept(), 1.0)
    assert store.get(key("n1"), 1.0) is None
    assert store.get(key("n0"), 1.0)
    assert store.evicted == {"success": 1, "denial": 0, "failure": 0}


def test_bytes_are_bounded_and_given_back() -> None:
    store = cache.Cache(size=20_000)
    for number in range(100):
        store.put(key(f"n{number}"), kept(size=1000), 0.0)
        assert store.bytes <= 20_000
    assert 5 < len(store) < 20
    assert store.flush() > 5
    assert (store.bytes, len(store)) == (0, 0)


def test_who_asks_for_thousands_of_names_pushes_out_his_own() -> None:
    store = cache.Cache(entries=100)
    for number in range(30):
        store.put(key(f"n{number}"), kept(), 0.0, "calm")
    for number in range(1000):  # of the servers that both ask, and of his own
        store.put(key(f"m{number}", ("p", "loud")[number % 2]), kept(), 1.0, "loud")
    assert all(store.get(key(f"n{number}"), 2.0) for number in range(30))
    assert len(store) == 100
    for number in range(30, 45):
        store.put(key(f"n{number}"), kept(), 3.0, "calm")
    assert all(store.stale(key(f"n{number}"), 65.0) for number in range(45))
    assert len(list(store.entries(65.0))) == 100
    assert store.evicted == {"success": 945, "denial": 0, "failure": 0}


def test_who_has_the_largest_answers_kept_makes_room_for_others() -> None:
    store = cache.Cache(size=200_000)
    for number in range(30):
        store.put(key(f"n{number}"), kept(), 0.0, "calm")
    for number in range(1000):
        store.put(key(f"m{number}"), kept(size=8000), 1.0, "loud")
        assert store.bytes <= 200_000
    assert all(store.get(key(f"n{number}"), 2.0) for number in range(30))


@pytest.mark.parametrize(("hot", "others"), [(60, 1), (60, 10), (30, 50)])
def test_what_is_over_goes_before_what_is_asked_for_in_turn(hot: int, others: int) -> None:
    store = cache.Cache(entries=100)
    misses = 0
    for second in range(300):
        name = key(f"n{second % hot}")
        if store.get(name, float(second)) is None:
            misses += 1
            store.put(name, kept(3600), float(second), "busy")
        store.put(key(f"once{second}"), kept(5), float(second), f"other{second % others}")
    assert misses == hot
    assert len(store) == 100


def test_who_asks_for_thousands_of_names_leaves_others_a_part_of_what_is_over() -> None:
    store = cache.Cache(entries=100)
    for number in range(90):
        store.put(key(f"n{number}"), kept(60), number / 90, f"calm{number % 2}")
    for number in range(1000):
        store.put(key(f"m{number}"), kept(3600), 100.0 + number, "loud")
    left = [number for number in range(90) if store.stale(key(f"n{number}"), 1100.0)]
    assert left == list(range(78, 90))  # an eighth of the cache, the last
    assert len(store) == 100


def test_what_all_have_is_over_and_goes_all_the_same() -> None:
    store = cache.Cache(entries=10)
    for number in range(10):
        store.put(key(f"n{number}"), kept(60), 0.0, f"calm{number}")
    store.put(key("new"), kept(60, size=cache.MOST_ENTRY - 100), 100.0)
    assert len(store) == 10
    store.flush(wire.to_wire("new"))
    assert sum(store.stale(key(f"n{number}"), 100.0) is not None for number in range(10)) == 9


def test_a_question_that_came_before_the_last_look_is_answered() -> None:
    store = cache.Cache()
    store.put(key(), kept(60), 0.0)
    store.put(key("other"), kept(60), 100.0)
    assert store.get(key(), 59.0)
    store.forget({""})
    assert store.stale(key(), 100.0)
    assert store.flush() == 2
    assert (store.bytes, len(store)) == (0, 0)


def test_what_nobody_may_be_given_any_more_goes_before_all_else() -> None:
    store = cache.Cache(entries=100)
    for number in range(50):
        store.put(key(f"n{number}"), kept(60), 0.0, f"box{number}")
    later = 61.0 + cache.STALE_S
    for number in range(100):
        store.put(key(f"m{number}"), kept(), later, "busy")
    assert all(store.get(key(f"m{number}"), later) for number in range(100))
    assert sum(store.evicted.values()) == 0


def test_what_sandboxes_that_are_gone_left_is_together_and_stays_for_others() -> None:
    store = cache.Cache(entries=100)
    for number in range(99):
        store.put(key(f"n{number}", ""), kept(), 0.0, f"box{number}")
    store.put(key("own", "box0"), kept(), 0.0, "box0")
    store.forget({f"box{number}" for number in range(99)})
    assert len(store) == 99
    for number in range(50):
        store.put(key(f"m{number}", ""), kept(), 1.0, "busy")
        assert store.get(key("n0", ""), 1.0)
    assert all(store.get(key(f"m{number}", ""), 2.0) for number in range(50))
    assert store.flush() == 100
    assert (store.bytes, sum(store.kinds.values())) == (0, 0)


def test_flush_takes_a_name_and_all_below_it() -> None:
    store = cache.Cache()
    for name in ("example", "www.example", "a.b.example", "myexample", "other"):
        store.put(key(name), kept(), 0.0)
    assert store.flush(wire.to_wire("Example")) == 3
    assert store.get(key("myexample"), 0.0)
    assert store.get(key("other"), 0.0)


def test_a_huge_reply_is_not_kept() -> None:
    store = cache.Cache()
    store.put(key(), kept(size=cache.MOST_ENTRY), 0.0)
    assert len(store) == 0


def test_what_is_over_can_still_be_had_as_stale_for_an_hour() -> None:
    store = cache.Cache()
    store.put(key(), kept(60), 0.0)
    assert store.stale(key(), 61.0)
    assert store.stale(key(), 60.0 + cache.STALE_S) is None
    assert len(store) == 0


def test_a_failure_is_never_stale() -> None:
    store = cache.Cache()
    store.put(key(), kept(None, rcode=Rcode.SERVFAIL), 0.0)
    assert store.get(key(), 4.9)
    assert store.stale(key(), 6.0) is None


def test_a_failure_that_is_over_is_not_listed_and_not_kept() -> None:
    store = cache.Cache()
    store.put(key("bad.example"), kept(rcode=Rcode.SERVFAIL), 0.0)
    store.put(key("good.example"), kept(3), 0.0)
    assert len(list(store.entries(4.0))) == 2  # one of them may be given as stale
    assert [each.name for each, _ in store.entries(6.0)] == [key("good.example").name]
    assert not list(store.entries(3.0 + cache.STALE_S))
    assert store.get(key("bad.example"), 6.0) is None
    assert len(store) == 1


def failure() -> reply.Reply:
    return kept(None, rcode=Rcode.SERVFAIL)


def test_failures_push_out_no_answers() -> None:
    store = cache.Cache(entries=cache.FAILURES + 10)
    for number in range(10):
        store.put(key(f"good{number}"), kept(), 0.0)
    for number in range(3 * cache.FAILURES):
        store.put(key(f"bad{number}"), failure(), 1.0)
    assert all(store.get(key(f"good{number}"), 2.0) for number in range(10))
    assert store.kinds["failure"] == cache.FAILURES
    assert store.evicted == {"success": 0, "denial": 0, "failure": 2 * cache.FAILURES}


def test_failures_that_are_over_are_gone_and_not_counted() -> None:
    store = cache.Cache()
    for number in range(100):
        store.put(key(f"bad{number}"), failure(), number / 100)
    store.put(key("bad0"), failure(), 3.0)  # a new one, which lasts
    store.tidy(5.5)
    assert store.kinds["failure"] == len(list(store.entries(5.5))) == 50
    store.tidy(8.0)
    assert (store.kinds["failure"], store.bytes, len(store)) == (0, 0, 0)


def test_a_failure_that_becomes_an_answer_stays() -> None:
    store = cache.Cache()
    store.put(key(), failure(), 0.0)
    store.put(key(), kept(), 1.0)
    store.tidy(100.0)
    assert store.stale(key(), 100.0)
