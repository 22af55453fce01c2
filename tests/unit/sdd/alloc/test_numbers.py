"""Small unique numbers."""

import pytest

from sdd import errors
from sdd.alloc import numbers


def test_the_lowest_gap_is_used() -> None:
    assert numbers.lowest_free("service", {1, 2, 4}.__contains__) == 3


def test_none_left_says_so() -> None:
    with pytest.raises(errors.Exhausted, match="service") as caught:
        numbers.lowest_free("service", range(1, 10).__contains__, last=9)
    assert caught.value.code == "SDD-NUMBER-EXHAUSTED"
