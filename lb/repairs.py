"""Steps that undo what somebody did → words for a person. Pure."""

from collections.abc import Iterable, Iterator

from lb import plan, table
from lb.desired import Desired, Wanted
from sdd.model import ids, progress
from sdd.model.network import IPAddress

MOST = 8  # named one by one; a thousand backends would fill a page


def of(
    now: Desired, want: Wanted, have: table.Table, steps: Iterable[plan.Step]
) -> tuple[progress.Repair, ...]:
    """One per virtual address, and one for what all of the sandbox share."""
    whose: dict[IPAddress | None, list[plan.Step]] = {}
    for each in steps:
        whose.setdefault(plan.subject(each), []).append(each)
    return tuple(
        progress.Repair(sandbox=want.name, service=_owner(now, want, vip), what=told(have, those))
        for vip, those in whose.items()
    )


def _owner(now: Desired, want: Wanted, vip: IPAddress | None) -> str:
    owner = None if vip is None else now.state.services.get(want.owners.get(vip, ids.ServiceId("")))
    return owner.name if owner is not None else ""


def told(have: table.Table, steps: Iterable[plan.Step]) -> str:
    """What comes back by `steps` about one virtual address, or about what all share."""
    words = list(dict.fromkeys(word for each in steps for word in _words(have, each)))
    if len(words) > MOST:
        words = [*words[:MOST], f"and {len(words) - MOST} more"]
    return ", ".join(words)


def _words(have: table.Table, step: plan.Step) -> Iterator[str]:
    match step:
        case plan.AddService(service):
            yield f"{service.vip} was gone"
        case plan.EditService(service):
            yield f"{service.vip} had other settings"
        case plan.AddBackend(_, backend):
            yield f"backend {backend.address} was gone"
        case plan.SetWeight(vip, backend):
            was = have.services[vip].weights.get(backend.address)
            yield f"backend {backend.address} had weight {was} instead of {backend.weight}"
        case plan.RemoveBackend(_, address):
            yield f"backend {address} is none"
        case plan.RemoveService(vip):
            yield f"{vip} is no virtual address"
        case plan.SetBack():
            yield "the ways back to ingress sandboxes were not as sdd makes them"
        case plan.Mend(vip):
            yield from (each.what for each in have.flaws if each.vip == vip)
