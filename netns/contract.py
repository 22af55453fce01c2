"""What a kernel promises this backend: say what is, do what the plan says.

The real one is `netns.kernel.linux`, the one in memory `netns.fake`; both pass
tests/contract/netns_kernel.py.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from netns import firewall, steps, world
from sdd import errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What to look at: the namespaces `paths`; of the host all links, or only the `links` named.

    Of the paths `leaving` only the existence is of interest. `sysctls` says for a path which files
    below /proc/sys are read of which link. `is_wide`: the table and what the host forwards, too.
    """

    paths: frozenset[str]
    leaving: frozenset[str] = frozenset()
    links: frozenset[str] | None = None
    sysctls: Mapping[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    is_wide: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Have:
    """What a kernel's reading found.

    `spaces` holds the host and the paths that were asked for and exist; a full look adds those
    where something of ours may be left. `named` are the namespaces that we made (path → inode, 0
    for one not complete): all, or those asked for when the scope names links. `table` is None
    when there is none of ours, or not one that we wrote. `forwarding` names the IP versions that
    the host forwards, `switched` those that it forwards only because a step said so. `hanging` are
    the paths of which nobody can tell where they lead, with the reason.
    """

    spaces: Mapping[str, world.Space]
    hanging: Mapping[str, errors.Unavailable] = field(default_factory=dict)
    named: Mapping[str, int] = field(default_factory=dict)
    table: firewall.Table | None = None
    forwarding: frozenset[int] = frozenset()
    switched: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A step that was not done: the reason in words, and the kernel's errno (0: another reason).

    With a `code` of its own, `reason` is the whole sentence and `hint` says what to do. `lacks` is
    the link of that namespace, or the path of the namespace, that was not there.
    """

    step: steps.Step
    reason: str
    error: int = 0
    hint: str = ""
    code: str = ""
    lacks: str = ""


def is_hopeless(step: steps.Step, refusals: Iterable[Refusal]) -> bool:
    """Whether an earlier step for the same object was refused."""
    return bool(step.subject) and any(each.step.subject == step.subject for each in refusals)


Decide = Callable[[Have], Sequence[steps.Step]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was found, what was decided upon it, and which of it was not done."""

    have: Have
    plan: Sequence[steps.Step]
    refusals: tuple[Refusal, ...] = ()


class Kernel(Protocol):
    """What is, do this, and both in one go."""

    async def read(self, scope: Scope) -> Have:
        """What is there now, within the scope."""
        ...

    async def apply(self, plan: Sequence[steps.Step]) -> tuple[Refusal, ...]:
        """Does the steps in order; removing the absent is fine.

        After a refusal the other steps of the same subject are left out: what they would change
        is not the object that they are meant for.
        """
        ...

    async def change(self, scope: Scope, decide: Decide) -> Change:
        """Reads, asks `decide` (pure, maybe in another thread) what to do, and does it."""
        ...
