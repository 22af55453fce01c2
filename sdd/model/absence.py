"""A sandbox's namespace that is not there, in the same words whoever of the backends meets it."""

from typing import Final

from sdd.model.progress import Failure

CODE: Final = "SDD-NETNS-GONE"


def of(subject: str, name: str, path: str, *, is_adopted: bool) -> Failure:
    """The failure of the sandbox `name`, whose id is `subject`."""
    if is_adopted:
        return Failure(
            subject=subject,
            sentence=f"the namespace of sandbox {name!r} at {path!r} is gone, "
            "or another one took its place",
            hint=f"its container has ended; remove it with: sdctl sandbox rm {name}",
            code=CODE,
        )
    return Failure(
        subject=subject,
        sentence=f"the namespace of sandbox {name!r} at {path!r} is not there",
        hint="sdd makes it again by itself; if this stays so, its log says what is in the way",
        code=CODE,
    )
