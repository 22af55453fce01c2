"""What mistakes of ours ended, as a Prometheus family. Counts in, families out."""

from collections.abc import Awaitable, Callable, Iterable
from enum import StrEnum
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily

from metrics.registry import Families

Unit = TypeVar("Unit", bound=StrEnum)


def source(
    count: Callable[[Unit], int], units: Iterable[Unit]
) -> Callable[[], Awaitable[Families]]:
    """A source for the registry: how many so far of each of `units`."""
    every = tuple(units)

    async def families() -> Families:
        family = CounterMetricFamily(
            "sdd_defects_total", "Mistakes of sdd, by what they ended.", labels=("unit",)
        )
        for each in every:
            family.add_metric((each.value,), count(each))
        return (family,)

    return families
