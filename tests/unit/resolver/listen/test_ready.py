from resolver import counters
from resolver.counters import Source
from resolver.listen import ready


def memo(tail: bytes = b"tail") -> ready.Memo:
    return ready.Memo(tail, "lan", "A", "NOERROR", Source.OWNED)


def sums(counts: counters.Counters) -> dict[tuple[str, ...], float]:
    return {tuple(key): value for key, value in counts.sums()}


def test_what_follows_the_id_is_the_key() -> None:
    pool = ready.Pool(counters.Counters())
    table = pool.table()
    one = memo()
    pool.put(table, b"idquestion", one)
    assert table == {b"question": one}


def test_use_is_counted_at_every_reading_and_once() -> None:
    counts = counters.Counters()
    pool = ready.Pool(counts)
    table = pool.table()
    pool.put(table, b"idquestion", memo())
    table[b"question"].given += 5
    for _ in range(2):
        found = sums(counts)
        assert found[counters.REQUESTS, "lan", "udp", "ipv4", "A"] == 5
        assert found[counters.RESPONSES, "lan", "NOERROR", "owned"] == 5
    table[b"question"].given += 1
    pool.drop(table)
    assert sums(counts)[counters.REQUESTS, "lan", "udp", "ipv4", "A"] == 6


def test_the_pool_is_bounded_over_all_tables() -> None:
    pool = ready.Pool(counters.Counters(), most=10)
    tables = [pool.table() for _ in range(3)]
    for number in range(100):
        pool.put(tables[number % 3], b"id%d" % number, memo())
        assert sum(map(len, tables)) <= 10


def test_a_long_message_is_not_kept() -> None:
    pool = ready.Pool(counters.Counters())
    table = pool.table()
    pool.put(table, bytes(ready.MOST_QUERY + 1), memo())
    assert not table


def test_fleeting_replies_last_a_second() -> None:
    pool = ready.Pool(counters.Counters())
    table = pool.table()
    pool.put(table, b"idstays", memo())
    pool.put_fleeting(table, b"idgoes", memo(), now=100.0)
    pool.sweep(100.9)
    assert set(table) == {b"stays", b"goes"}
    pool.sweep(101.0)
    assert set(table) == {b"stays"}
    pool.sweep(500.0)
    pool.put_fleeting(table, b"idgoes", memo(), now=600.0)
    pool.sweep(600.5)
    assert b"goes" in table


def test_each_fleeting_reply_has_its_own_second_and_is_counted() -> None:
    counts = counters.Counters()
    pool = ready.Pool(counts)
    table = pool.table()
    pool.put_fleeting(table, b"idone", memo(), now=100.0)
    pool.put_fleeting(table, b"idtwo", memo(), now=100.5)
    table[b"one"].given += 3
    pool.sweep(101.2)
    assert set(table) == {b"two"}
    assert sums(counts)[counters.REQUESTS, "lan", "udp", "ipv4", "A"] == 3
    pool.put_fleeting(table, b"idtwo", newer := memo(), now=101.4)
    pool.sweep(101.6)
    assert table[b"two"] is newer
    pool.sweep(102.4)
    assert not table


def test_forgetting_one_sandbox_leaves_the_others() -> None:
    pool = ready.Pool(counters.Counters(), most=2)
    one, two = pool.table(), pool.table()
    pool.put(one, b"ida", memo())
    pool.put(two, b"idb", memo())
    pool.forget(one)
    pool.put(one, b"idc", memo())
    assert set(one) == {b"c"}
    assert set(two) == {b"b"}


def test_whoever_fills_the_pool_makes_room_for_himself() -> None:
    pool = ready.Pool(counters.Counters(), most=100)
    quiet, hostile = pool.table(), pool.table()
    for number in range(20):
        pool.put(quiet, b"id%d" % number, memo())
    for number in range(1000):
        pool.put(hostile, b"id%d" % number, memo())
    assert len(quiet) == 20
    assert 0 < len(hostile) <= 80


def test_fleeting_replies_are_bounded_within_their_second() -> None:
    pool = ready.Pool(counters.Counters(), most=10)
    table = pool.table()
    for number in range(1000):
        pool.put_fleeting(table, b"id%d" % (number % 5), memo(), now=1.0)
        assert len(pool._fleeting) <= 10
    for _ in range(10):
        pool.sweep(2.5)
    assert not table


def test_A8_58_what_is_asked_for_lives_on_with_lower_ttls_until_it_is_over() -> None:
    counts = counters.Counters()
    pool = ready.Pool(counts)
    table = pool.table()
    one = memo(b"xx" + (5).to_bytes(4, "big") + b"yy")
    one.aging = ready.Aging((2,), stored=100.0, expires=105.0)
    pool.put_fleeting(table, b"idone", one, now=100.0)
    lived = []
    for second in range(1, 8):
        one.given += 1
        pool.sweep(100.02 + second * 1.01)
        lived.append(int.from_bytes(one.tail[2:6], "big") if table else None)
    assert lived == [4, 3, 2, 1, None, None, None]
    assert one.tail[:2] + one.tail[6:] == b"xxyy"


def test_what_nobody_asks_for_does_not_live_on() -> None:
    counts = counters.Counters()
    pool = ready.Pool(counts)
    table = pool.table()
    for name, given in ((b"ididle", 0), (b"idbusy", 1)):
        each = memo()
        each.aging = ready.Aging((), stored=100.0, expires=200.0)
        pool.put_fleeting(table, name, each, now=100.0)
        each.given = given
    pool.sweep(101.01)
    assert set(table) == {b"busy"}
    assert sums(counts)[counters.REQUESTS, "lan", "udp", "ipv4", "A"] == 1
    pool.sweep(102.02)
    assert not table


def test_A8_58_what_is_asked_for_now_and_then_is_ready_all_the_while() -> None:
    pool = ready.Pool(counters.Counters())
    table = pool.table()
    one = memo(b"xx" + (100).to_bytes(4, "big") + b"yy")
    one.aging = ready.Aging((2,), stored=100.0, expires=200.0, patience=3)
    pool.put_fleeting(table, b"idone", one, now=100.0)
    left = []
    for second in range(1, 10):
        one.given += second == 3
        pool.sweep(100.02 + second * 1.01)
        left.append(int.from_bytes(one.tail[2:6], "big") if table else None)
    assert left == [99, 98, 97, 96, 95, 94, None, None, None], "three seconds after it was asked"
    pool.sweep(111.0)
    assert pool.wake(table, b"IDone", 111.0) == b"IDxx" + (89).to_bytes(4, "big") + b"yy"


def test_A8_58_what_no_look_has_ended_yet_is_renewed_by_who_asks() -> None:
    counts = counters.Counters()
    pool = ready.Pool(counts)
    table = pool.table()
    one = memo(b"xx" + (100).to_bytes(4, "big") + b"yy")
    one.aging = ready.Aging((2,), stored=100.0, expires=200.0)
    pool.put_fleeting(table, b"idone", one, now=100.0)
    assert one.until == 101.0
    assert pool.wake(table, b"IDone", 103.5) == b"IDxx" + (97).to_bytes(4, "big") + b"yy"
    assert one.until == 104.5
    pool.sweep(104.0)  # which ends the second that began at 100
    assert table == {b"one": one}
    pool.sweep(104.6)
    assert pool.wake(table, b"IDone", 200.0) is None, "it is over"
    assert not table
    assert sums(counts)[counters.REQUESTS, "lan", "udp", "ipv4", "A"] == 1
    pool.sweep(300.0)
    assert pool._held == 0


def sleeping(pool: ready.Pool, table: ready.Table, name: bytes) -> ready.Memo:
    one = memo(b"xx" + (100).to_bytes(4, "big") + b"yy")
    one.aging = ready.Aging((2,), stored=100.0, expires=200.0)
    pool.put_fleeting(table, name, one, now=100.0)
    pool.sweep(101.01)
    assert name[2:] not in table
    return one


def test_A8_58_what_slept_comes_back_with_the_ttls_of_now_and_is_counted() -> None:
    counts = counters.Counters()
    pool = ready.Pool(counts)
    table = pool.table()
    one = sleeping(pool, table, b"idone")
    assert pool.wake(table, b"idtwo", 130.5) is None
    assert pool.wake(table, b"IDone", 130.5) == b"IDxx" + (70).to_bytes(4, "big") + b"yy"
    assert table == {b"one": one}
    assert sums(counts)[counters.REQUESTS, "lan", "udp", "ipv4", "A"] == 1
    pool.sweep(131.51)
    assert set(table) == {b"one"}, "it was asked for"


def test_what_is_over_does_not_wake_nor_what_was_forgotten() -> None:
    pool = ready.Pool(counters.Counters())
    table = pool.table()
    for name in (b"idold", b"idgone"):
        sleeping(pool, table, name)
    assert pool.wake(table, b"idold", 200.0) is None
    pool.forget(table)
    assert pool.wake(table, b"idgone", 130.0) is None
    assert pool._held == 0


def test_the_oldest_sleepers_go_when_there_are_many_and_nothing_is_left_of_them() -> None:
    pool = ready.Pool(counters.Counters(), most_asleep=10)
    table, other = pool.table(), pool.table()
    sleeping(pool, other, b"idother")
    for number in range(30):
        sleeping(pool, table, b"id%d" % number)
    assert pool.wake(other, b"idother", 101.5) is None
    assert pool.wake(table, b"id19", 101.5) is None
    assert pool.wake(table, b"id20", 101.5)
    assert len(pool._sleepers) == 9
    pool.forget(table)
    assert not pool._sleepers
    assert pool._held == 0


def test_sleepers_that_nobody_counts_take_no_memory() -> None:
    counts = counters.Counters()
    pool = ready.Pool(counts)
    table = pool.table()
    for number in range(3 * ready.MOST_GONE):
        sleeping(pool, table, b"id%d" % number)
        assert pool.wake(table, b"id%d" % number, 200.0) is None
    assert len(pool._gone) <= ready.MOST_GONE


def test_a_look_ends_few_and_the_next_ones_the_rest() -> None:
    pool = ready.Pool(counters.Counters())
    table = pool.table()
    for number in range(3 * ready.MOST_ENDS):
        pool.put_fleeting(table, b"id%d" % number, memo(), now=100.0)
    for left in (2, 1, 0):
        pool.sweep(101.01)
        assert len(table) == left * ready.MOST_ENDS
