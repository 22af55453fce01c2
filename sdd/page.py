"""The metrics page with all its sources.

In: the feed, who looks after the DNS workers, what balancing counted. Out: a registry that reads
them at every scrape.
"""

import time
from collections.abc import Iterable, Iterator

from lb import growth, watching
from lb import meter as lb_meter
from metrics import addresses, balancing, exposition, registry
from metrics import defects as defect_metrics
from metrics import dns as dns_metrics
from resolver.control import watch
from sdd import defects
from sdd.control import feed, taken
from sdd.model import service
from sdd.state import ClusterState


def build(
    version: str,
    news: feed.Feed,
    workers: watch.Watch,
    members: watching.Watching,
    behind_s: registry.Behind,
    *,
    faults: defects.Defects,
) -> registry.Registry:
    """The page of one daemon of release `version`; `behind_s` as in `Registry.behind`."""
    page = registry.Registry(version, time.time)
    page.behind(behind_s)
    page.add(exposition.objects(lambda: news.state))
    page.add(addresses.source(lambda: _fullness(news.state)))
    page.add(balancing.source(lambda: _balanced(news.state, members)))
    page.add(defect_metrics.source(faults.count, defects.OF_SDD))
    page.add(dns_metrics.source(lambda: _counted(workers, page)))
    return page


def _fullness(now: ClusterState) -> Iterator[addresses.Row]:
    """How full each subnet is, for the page of metrics."""
    for net in now.networks.values():
        for use in taken.usage_of(now, net):
            yield addresses.Row(net.name, str(use.subnet), use.in_use, use.free)


def _balanced(now: ClusterState, by: watching.Watching) -> balancing.Rows:
    """What balancing counted, under the names that people gave."""
    by.tally.forget(but=frozenset(now.services))
    totals = by.meter.totals()
    suspicions = by.probes.suspicions()
    checked = {
        each.name: by.tally.of(each.id)
        for each in now.services.values()
        if each.health.kind is not service.CheckKind.NONE
    }
    return balancing.Rows(
        traffic={
            (each.name, protocol): totals.get((each.id, protocol), growth.NONE)
            for each in now.services.values()
            if each.vips or each.ports
            for protocol in lb_meter.PROTOCOLS
        },
        connections=dict(_connections(now, by.meter)),
        checks={
            name: balancing.Checks(each.checks, each.seconds, each.failures, each.unmade)
            for name, each in checked.items()
        },
        suspicions={
            each.name: suspicions.get(each.id, 0)
            for each in now.services.values()
            if each.name in checked
        },
    )


def _connections(
    now: ClusterState, meter: lb_meter.Meter
) -> Iterator[tuple[tuple[str, str, str], int]]:
    found = meter.connections()
    for key, member in now.members.items():
        box, svc = now.sandboxes.get(member.sandbox), now.services.get(member.service)
        if box is not None and svc is not None and (svc.vips or svc.ports):
            for which in ("active", "inactive"):
                yield (svc.name, box.name, which), found.get((key, which), 0)


async def _counted(workers: watch.Watch, page: registry.Registry) -> Iterable[dns_metrics.Sums]:
    """What the DNS workers counted, what they had told before while none can be reached."""
    counted, is_new = await workers.counters()
    if not is_new:
        page.unread()
    return [each.sums for each in counted]
