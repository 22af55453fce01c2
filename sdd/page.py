"""The metrics page with all its sources.

In: the feed and who looks after the DNS workers. Out: a registry that reads both at every scrape.
"""

import time
from collections.abc import Iterable, Iterator

from metrics import addresses, exposition, registry
from metrics import dns as dns_metrics
from resolver.control import watch
from sdd.control import feed, taken
from sdd.state import ClusterState


def build(version: str, news: feed.Feed, workers: watch.Watch) -> registry.Registry:
    """The page of one daemon of release `version`."""
    page = registry.Registry(version, time.time)
    page.add(exposition.objects(lambda: news.state))
    page.add(addresses.source(lambda: _fullness(news.state)))
    page.add(dns_metrics.source(lambda: _counted(workers, page)))
    return page


def _fullness(now: ClusterState) -> Iterator[addresses.Row]:
    """How full each subnet is, for the page of metrics."""
    for net in now.networks.values():
        for use in taken.usage_of(now, net):
            yield addresses.Row(net.name, str(use.subnet), use.in_use, use.free)


async def _counted(workers: watch.Watch, page: registry.Registry) -> Iterable[dns_metrics.Sums]:
    """What the DNS workers counted, what they had told before while none can be reached."""
    counted, is_new = await workers.counters()
    if not is_new:
        page.unread()
    return [each.sums for each in counted]
