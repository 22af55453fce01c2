"""The daemon itself: /healthz, /readyz, /metrics, /v1/status, /v1/version."""

import platform

from sdd.api import render
from sdd.api.call import Call, Reply
from sdd.api.context import Context
from sdd.model import progress


async def healthz(_context: Context, _call: Call) -> Reply:
    """200 as long as the event loop turns."""
    return Reply(raw=b"ok\n", content_type="text/plain")


async def readyz(context: Context, _call: Call) -> Reply:
    """200 once every backend has made its first pass, 503 naming the others before.

    Also 503, and why, while one of them fails as a whole.
    """
    if missing := _missing(context):
        text = f"waiting for the first pass of: {', '.join(missing)}\n"
        return Reply(raw=text.encode(), status=503, content_type="text/plain")
    if failing := _failing(context):
        return Reply(raw=failing.encode(), status=503, content_type="text/plain")
    return Reply(raw=b"ok\n", content_type="text/plain")


async def metrics(context: Context, call: Call) -> Reply:
    """The Prometheus page."""
    page, content_type = await context.registry.render(call.text("accept", ""))
    return Reply(raw=page, content_type=content_type)


async def status(context: Context, _call: Call) -> Reply:
    """One glance: what runs, what it holds, what is not as wanted."""
    state, about = context.state(), context.about
    outcomes = context.progress()
    value = {
        "State": _word(context),
        "Version": about.version,
        "Node": about.node,
        "AdvertiseAddr": about.advertise,
        "Labels": list(context.labels()),
        "Started": render.when(about.started),
        "Revision": state.revision,
        "DataRoot": str(about.data_root),
        "ExecRoot": str(about.exec_root),
        "Store": about.store,
        "Balancer": about.lb_backend,
        "BalancerWhy": about.lb_why,
        "MissingCapabilities": list(about.lacks),
        "RefusalsUnheard": context.unheard(),
        "Networks": len(state.networks),
        "Sandboxes": len(state.sandboxes),
        "Services": len(state.services),
        "Backends": render.backends(state, outcomes, context.repaired()),
    }
    return Reply(value=value)


async def version(context: Context, _call: Call) -> Reply:
    """Versions of the daemon, of the API and of what they run on."""
    value = {
        "Version": context.about.version,
        "ApiVersion": "v1",
        "Python": platform.python_version(),
        "Kernel": platform.release(),
    }
    return Reply(value=value)


def _missing(context: Context) -> list[str]:
    reported = context.progress()
    return [each.value for each in progress.Backend if each not in reported]


def _failing(context: Context) -> str:
    """A line for each backend of which nothing works."""
    return "".join(
        f"{backend.value}: {each.told}\n"
        for backend, outcome in context.progress().items()
        for each in outcome.failures
        if each.subject == progress.EVERYTHING
    )


def _word(context: Context) -> str:
    """Starting before the first passes, degraded while anything failed, else ready."""
    if _missing(context):
        return "starting"
    failed = any(outcome.failures for outcome in context.progress().values())
    return "degraded" if failed else "ready"
