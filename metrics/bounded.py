"""Rows → a gauge family of at most so many series: names of objects are labels that people choose.

What does not fit is counted, never shown: a page must stay small whatever the state holds.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from prometheus_client.core import GaugeMetricFamily

MOST_SERIES = 1000  # per family; beyond that a page helps nobody and hurts Prometheus

Rows = Iterable[tuple[Sequence[str], float]]


def gauge(name: str, text: str, labels: Sequence[str], rows: Rows) -> GaugeMetricFamily:
    """The first rows in the order of their labels, so that the same ones stay."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in sorted(rows)[:MOST_SERIES]:
        family.add_metric(values, value)
    return family


def left_out(families: Iterable[tuple[str, int]]) -> GaugeMetricFamily:
    """How many series of each (family, number of rows) do not fit."""
    counts = Counter({name: max(0, rows - MOST_SERIES) for name, rows in families})
    family = GaugeMetricFamily(
        "sdd_metrics_left_out_series",
        "Series that are not shown because their family has too many.",
        labels=("family",),
    )
    for name, count in counts.items():
        family.add_metric((name,), count)
    return family
