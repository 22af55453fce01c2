"""What a search list makes of a name of ours: told only a moment after that name itself."""

import math

from resolver import counters
from resolver.listen import behind, ready
from resolver.message import wire
from tests.unit.resolver.questions import a, data, query, scope

SCOPE = scope({wire.to_wire("web"): a("10.1.0.2")}, search=(wire.to_wire("corp.test"),), ndots=0)
AGING = ready.Aging((), stored=100.0, expires=math.inf)


def told(pool: ready.Pool, table: ready.Table) -> ready.Memo:
    """The sandbox heard at 100 that `web` has no IPv6."""
    memo = ready.Memo(b"no", "lan", "AAAA", "NOERROR", counters.Source.OWNED, aging=AGING)
    pool.put_fleeting(table, data("web", "AAAA"), memo, now=100.0)
    return memo


def follows(table: ready.Table, now: float) -> bool:
    name = "web.corp.test"
    known: tuple[ready.Table, ...] = ({}, table)  # it does not matter which of them has it
    return bool(behind.followed(query(name, "AAAA"), data(name, "AAAA"), SCOPE, known, now))


def test_A8_112_on_a_quiet_host_an_old_no_says_nothing_of_the_longer_name() -> None:
    """No look has ended its second: looks come behind answers."""
    pool = ready.Pool(counters.Counters())
    table = pool.table()
    told(pool, table)
    assert table
    assert [follows(table, now) for now in (100.5, 101.0, 3700.0)] == [True, False, False]


def test_A8_112_a_look_that_comes_late_makes_no_old_no_new() -> None:
    """It was asked for again in its second, an hour ago."""
    pool = ready.Pool(counters.Counters())
    table = pool.table()
    memo = told(pool, table)
    memo.given += 1
    pool.sweep(3700.0)  # behind some other answer
    assert not follows(table, 3700.1)
    assert pool.wake(table, data("web", "AAAA"), 3700.2)
    assert follows(table, 3700.3)
