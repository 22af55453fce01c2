"""What nobody can take apart."""

from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from lb import table, world
from lb.kernel import legible
from sdd import errors


def test_an_illegible_table_is_one_flaw() -> None:
    found = legible.legible(lambda: table.Table(flaws=(table.Flaw(what=str(ip_address(b"P"))),)))
    assert not found.services
    assert "nothing that sdd makes" in found.flaws[0].what
    assert legible.legible(lambda: table.EMPTY) is table.EMPTY


def test_illegible_counts_are_refused_in_our_words() -> None:
    def odd() -> Iterator[world.Load]:
        yield from ()
        ip_address(b"P")

    with pytest.raises(errors.KernelRefused, match="nothing that sdd makes"):
        legible.counts(odd)
    assert legible.counts(tuple) == ()
