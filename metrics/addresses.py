"""How full the networks' subnets are, as gauges.

In: rows of numbers. Out: two families. Which addresses count is decided where the rows are made.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily

from metrics.registry import Families

LABELS = ("network", "subnet")


class Row(NamedTuple):
    """One subnet of one network."""

    network: str
    subnet: str
    in_use: int
    free: int


def source(rows: Callable[[], Iterable[Row]]) -> Callable[[], Awaitable[Families]]:
    """A source for the registry."""

    async def families_now() -> Families:
        return families(rows())

    return families_now


def families(rows: Iterable[Row]) -> Families:
    """`sdd_network_addresses_used` and `_free`, by network and subnet."""
    used = GaugeMetricFamily(
        "sdd_network_addresses_used",
        "Addresses of the subnet that cannot be given: held, reserved, gateway, auxiliary.",
        labels=LABELS,
    )
    free = GaugeMetricFamily(
        "sdd_network_addresses_free",
        "Addresses that automatic choice could still give.",
        labels=LABELS,
    )
    for row in rows:
        used.add_metric((row.network, row.subnet), row.in_use)
        free.add_metric((row.network, row.subnet), row.free)
    return used, free
