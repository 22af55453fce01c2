"""What serves names, wired: the resolver, its worker, and the settings that both follow.

In: what `sdd.app` built, and the settings in force. Out: objects, and loops that watch the host.
"""

import contextlib
import functools
from collections.abc import AsyncIterator, Mapping

import structlog

from resolver import reconciler as dns_reconciler
from resolver.control import launch, watch
from resolver.files import hostconf, hostwatch, own, upstreams
from resolver.space import reclaim
from resolver.upstream import transports
from sdd import config as configuration
from sdd import reconcile
from sdd.control import progress
from sdd.daemon import Watch
from sdd.linux import guests, namespaces
from sdd.model import ids
from sdd.model.look import NOWHERE
from sdd.model.progress import Backend

say: structlog.stdlib.BoundLogger = structlog.get_logger("sdd")


def reconciler(
    config: configuration.Config,
    doors: namespaces.Namespaces,
    node: ids.NodeId,
    launcher: launch.Launcher,
    slots: Mapping[Backend, reconcile.Slot],
    *,
    reached: progress.Progress,
) -> dns_reconciler.Reconciler:
    """The backend that makes sandboxes find names."""
    return dns_reconciler.Reconciler(
        *(doors, launcher, node, own.Files(config.data_root), _daemon_dns(config)),
        been=guests.Guests(config.exec_root / "dns-guests"),
        on_lost=slots[Backend.RESOLVER].kick,
        is_vain=functools.partial(reached.has_failed, Backend.NETNS),
        others=reached.carried,
        on_claim=_tell,
    )


def _tell(claim: reclaim.Claim) -> None:
    """What a former sdd opened is held by us as well, or it is not."""
    if claim.refused:
        say.warning(
            "dns.sockets_refused",
            why=f"the kernel keeps the worker's sockets from sdd: {claim.refused}",
            instead="sandboxes of before this start get new ones when that worker ends",
            hint="it takes CAP_SYS_PTRACE, pidfd_getfd(2) and Linux 5.6: see systemd/sdd.service",
        )
    else:
        say.info("dns.sockets_reclaimed", sandboxes=len(claim.found))


@contextlib.asynccontextmanager
async def launcher(config: configuration.Config) -> AsyncIterator[launch.Launcher]:
    """What finds or starts the worker."""
    made = launch.Launcher(config.exec_root, quic=transports.has_quic())
    if not made.has_user:
        say.warning("dns.user_missing", user=made.user, hint="see `sdctl doctor --only host`")
    try:
        yield made
    finally:
        await made.leave()


def watches(
    settings: configuration.InForce,
    names: dns_reconciler.Reconciler,
    slots: Mapping[Backend, reconcile.Slot],
    worker: watch.Watch,
) -> dict[str, Watch]:
    """What follows the host's own servers, and how our worker is; reloads are followed as well."""

    def follow(event: str) -> None:
        if names.use(_daemon_dns(settings.config)):
            say.info(event)
            # Other wants, not other facts: there is nothing to look at.
            slots[Backend.RESOLVER].kick(NOWHERE)

    settings.subscribe(lambda: follow("dns.settings_changed"))
    reread = functools.partial(follow, "dns.host_changed")
    return {
        "dns worker": lambda _: worker.run(),
        "host resolv.conf": lambda _: hostwatch.follow(hostconf.FILES, reread),
    }


def _daemon_dns(config: configuration.Config) -> upstreams.DaemonDns:
    """The daemon's own settings, and what the host's files say now."""
    return hostconf.daemon_dns(
        servers=config.dns,
        search=config.dns_search,
        options=config.dns_opts,
        ttl=config.dns_ttl,
        rate=config.dns_rate_limit,
        ca=str(config.dns_ca or ""),
        bind=upstreams.Bind(config.dns_bind),
        forwarded=config.dns_forward_zones,
    )
