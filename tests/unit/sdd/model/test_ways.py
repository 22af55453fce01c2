"""The other ports of a way are found without looking at all others."""

from ipaddress import ip_address

from sdd.model.port import Mode, Port, Protocol
from sdd.model.ways import Ways

WIDE = Port(published=80, target=8080, mode=Mode.INGRESS)
LOOPBACK = Port(published=80, target=8080, mode=Mode.INGRESS, address=ip_address("127.0.0.1"))
UDP = Port(published=80, target=8080, mode=Mode.INGRESS, protocol=Protocol.UDP)
OTHER = Port(published=80, target=8081, mode=Mode.INGRESS)


def test_ports_of_one_way_are_found_in_their_order() -> None:
    ways = Ways((WIDE, UDP, OTHER))
    ways.add(LOOPBACK)
    assert ways.all() == (WIDE, UDP, OTHER, LOOPBACK)
    assert len(ways) == len(ways.all())
    assert ways.along(LOOPBACK) == [WIDE, LOOPBACK]
    assert list(ways.along(Port(published=81, target=8080))) == []


def test_one_is_beside_another_if_one_of_them_is_for_127_0_0_1() -> None:
    assert Ways((WIDE, LOOPBACK)).is_beside(WIDE)
    assert Ways((WIDE,)).is_beside(LOOPBACK)
    assert not Ways((WIDE, UDP, OTHER)).is_beside(WIDE)
    assert not Ways((UDP, OTHER)).is_beside(LOOPBACK)
