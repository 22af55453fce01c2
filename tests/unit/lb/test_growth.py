"""What came between two readings, whatever became of the counters meanwhile."""

import dataclasses
from ipaddress import ip_address

from lb import world
from lb.growth import Growth, beyond, growth, rated

VIP, ONE = ip_address("10.77.0.200"), ip_address("10.77.0.1")


def load(**counts: int) -> world.Load:
    known = dataclasses.asdict(Growth(**counts))
    return world.Load(vip=VIP, protocol="tcp", scheduler="rr", address=ONE, **known)


def test_growth_is_the_difference() -> None:
    before, after = load(connections=3, in_packets=10), load(connections=5, in_packets=25)
    grown = growth((before,), (after,))
    assert grown == {(VIP, "tcp", ONE): Growth(connections=2, in_packets=15)}
    assert growth((after,), (after,))[VIP, "tcp", ONE].is_none


def test_what_is_new_or_began_anew_grew_from_nothing() -> None:
    after = load(connections=2, out_bytes=7)
    assert growth((), (after,))[VIP, "tcp", ONE] == Growth(connections=2, out_bytes=7)
    before = load(connections=9, out_bytes=5)
    assert growth((before,), (after,))[VIP, "tcp", ONE] == Growth(connections=2, out_bytes=2)


def test_of_two_readings_that_overtook_each_other_nothing_is_counted_twice() -> None:
    early, late = load(connections=3, in_packets=10), load(connections=5, in_packets=25)
    assert beyond((early,), (late,)) == growth((early,), (late,))
    assert beyond((late,), (early,)) == {}
    assert beyond((), (late,))[VIP, "tcp", ONE].connections == 5


def test_what_has_no_backend_does_not_grow() -> None:
    nobody = world.Load(vip=VIP, protocol="tcp", scheduler="rr")
    assert growth((nobody,), (nobody,)) == {}
    assert rated((nobody,), (nobody,), 1.0) == (nobody,)


def test_rates_are_per_second_and_the_kernels_own_win() -> None:
    (found,) = rated((load(),), (load(connections=30, in_bytes=5),), 10.0)
    assert (found.connection_rate, found.in_byte_rate, found.out_byte_rate) == (3, 0, 0)
    own = world.Load(
        vip=VIP, protocol="tcp", scheduler="rr", address=ONE, connections=9, connection_rate=7
    )
    assert rated((own,), (own,), 10.0) == (own,)


def test_growths_add_up() -> None:
    assert Growth(connections=1, in_bytes=2) + Growth(connections=4) == Growth(
        connections=5, in_bytes=2
    )
