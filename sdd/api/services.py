"""/v1/services and their members."""

from dataclasses import dataclass
from typing import TypeVar

from sdd import errors
from sdd.api import body, cautions, render
from sdd.api.call import Call, Reply
from sdd.api.context import Context
from sdd.control import lookup
from sdd.model import ids, request
from sdd.model.service import Member, Scheduler, Service

T = TypeVar("T")

DRAIN_MAX_S = 24 * 3600.0
REASON_MAX = 200  # characters of a report that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """Body of a change of weight."""

    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Body of a member's word about itself; `status` is pass or fail."""

    status: str
    reason: str = ""


async def listing(context: Context, _call: Call) -> Reply:
    """A row per service, by name."""
    state = context.state()
    found = sorted(state.services.values(), key=lambda each: each.name)
    return Reply(value=[render.service_row(state, each) for each in found])


async def create(context: Context, call: Call) -> Reply:
    """The service that was made."""
    asked = await _asked(context, request.ServiceCreate, call.body)
    made = await context.commands.create_service(asked)
    warning = cautions.of_service(context.state(), made)
    return Reply(value={**_whole(context, made), "Warning": warning}, status=201)


async def inspect(context: Context, call: Call) -> Reply:
    """One service."""
    return Reply(value=_whole(context, lookup.service(context.state(), call.path["ref"])))


async def remove(context: Context, call: Call) -> Reply:
    """Id and name of the service that is gone."""
    gone = await context.commands.remove_service(call.path["ref"])
    return Reply(value={"Id": gone.id, "Name": gone.name})


async def update(context: Context, call: Call) -> Reply:
    """The service as it is now."""
    asked = await _asked(context, request.ServiceUpdate, call.body)
    changed = await context.commands.update_service(call.path["ref"], asked)
    return Reply(value=_whole(context, changed))


async def _asked(context: Context, kind: type[T], data: bytes) -> T:
    """The request; an unknown scheduler is refused with those that the balancer here offers."""
    try:
        return body.decode(kind, data)
    except body.NoChoice as exc:
        if exc.kind is not Scheduler or not isinstance(exc.value, str):
            raise
        raise errors.Invalid(
            f"the kernel has no scheduler {errors.quoted(exc.value)},"
            f" it offers: {', '.join(await context.schedulers()) or 'none'}",
            hint="choose one of them",
            code="SDD-LB-SCHEDULER",
        ) from None


async def members(context: Context, call: Call) -> Reply:
    """The backends with their state."""
    return Reply(value=_rows(context, lookup.service(context.state(), call.path["ref"])))


async def join(context: Context, call: Call) -> Reply:
    """The new backend."""
    made = await context.commands.join(call.path["ref"], body.decode(request.Join, call.body))
    return Reply(value=_row(context, made), status=201)


async def set_weight(context: Context, call: Call) -> Reply:
    """The backend with its new weight."""
    asked = body.decode(Weight, call.body)
    changed = await context.commands.set_weight(
        call.path["ref"], call.path["sandbox"], asked.weight
    )
    return Reply(value=_row(context, changed))


async def report(context: Context, call: Call) -> Reply:
    """The backend as it is stored; its new state follows at once when it changes."""
    asked = body.decode(Report, call.body)
    if asked.status not in ("pass", "fail"):
        raise errors.Invalid(
            f"the status {errors.quoted(asked.status)} is not pass or fail",
            hint='say {"status": "pass"} or {"status": "fail"}',
            code="SDD-API-BODY",
        )
    state = context.state()
    member = lookup.member(state, call.path["ref"], call.path["sandbox"])
    key = (member.service, member.endpoint)
    context.report(key, passed=asked.status == "pass", reason=asked.reason[:REASON_MAX])
    return Reply(value=_row(context, member))


async def leave(context: Context, call: Call) -> Reply:
    """Ids of the membership that is gone; `drain` is the patience in seconds."""
    drain_s = call.number("drain", 0.0, 0.0, DRAIN_MAX_S) if "drain" in call.query else None
    gone = await context.commands.leave(call.path["ref"], call.path["sandbox"], drain_s)
    return Reply(value={"ServiceID": gone.service, "SandboxID": gone.sandbox})


def _whole(context: Context, one: Service) -> render.Json:
    row = render.service_of(context.state(), one, context.clock())
    return {**row, "Members": _rows(context, one)}


def _rows(context: Context, of: Service) -> list[render.Json]:
    rows = render.members_of(context.state(), of, context.clock())
    return [_told(context, of.id, each) for each in rows]


def _row(context: Context, one: Member) -> render.Json:
    return _told(context, one.service, render.member_of(context.state(), one, context.clock()))


def _told(context: Context, of: ids.ServiceId, row: render.Json) -> render.Json:
    """With why its checks cannot be made, which no state says."""
    return {**row, "Unchecked": context.unchecked().get((of, row["EndpointID"]), "")}
