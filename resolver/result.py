"""What the parts of a pass contribute to its outcome."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sdd import errors
from sdd.model import absence, ids, progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """As in `progress.Outcome`."""

    failures: tuple[progress.Failure, ...] = ()
    changed: int = 0
    repaired: int = 0
    repairs: tuple[progress.Repair, ...] = ()


NOTHING = Result()


def mended(result: Result, sandbox: str, what: str) -> Result:
    """With `what` of a sandbox set back, if nothing failed."""
    if result.failures:
        return result
    repair = progress.Repair(sandbox=sandbox, what=what)
    return replace(result, repaired=result.repaired + 1, repairs=(*result.repairs, repair))


def total(results: Iterable[Result]) -> Result:
    """All of them as one."""
    every = tuple(results)
    return Result(
        failures=tuple(failure for each in every for failure in each.failures),
        changed=sum(each.changed for each in every),
        repaired=sum(each.repaired for each in every),
        repairs=tuple(repair for each in every for repair in each.repairs),
    )


def of_sandbox(box: ids.SandboxId, name: str, exc: errors.SddError) -> Result:
    """The failure of one sandbox."""
    return _failed(box, f"sandbox {name!r} has no name service: {exc.sentence}", exc)


def of_hanging(box: ids.SandboxId, name: str, exc: errors.SddError) -> Result:
    """The failure of one sandbox of which nobody can tell whether it is still there."""
    return _failed(box, f"the name service of sandbox {name!r} stays as it is: {exc.sentence}", exc)


def of_space(
    box: ids.SandboxId, name: str, path: str, exc: errors.SddError, *, is_adopted: bool
) -> Result:
    """The same; in the words of all backends where its namespace at `path` is not there."""
    if exc.code != absence.CODE:
        return of_sandbox(box, name, exc)
    return Result(failures=(absence.of(box, name, path, is_adopted=is_adopted),))


def of_part(box: ids.SandboxId, name: str, exc: errors.SddError) -> Result:
    """The failure of one sandbox that is served all the same, by less than it wants."""
    return _failed(box, f"sandbox {name!r} has not all of its name service: {exc.sentence}", exc)


def of_files(box: ids.SandboxId, name: str, exc: errors.SddError) -> Result:
    """The failure of one sandbox's files, which goes on being answered."""
    return _failed(box, f"resolv.conf and hosts of sandbox {name!r} are old: {exc.sentence}", exc)


def of_file_elsewhere(box: ids.SandboxId, name: str, exc: errors.SddError) -> Result:
    """The failure of the file that others gave; those in the data-root are as they should be."""
    return _failed(box, f"sandbox {name!r}: {exc.sentence}", exc)


def of_everything(exc: errors.SddError) -> Result:
    """The failure that concerns every sandbox of this node."""
    return _failed(progress.EVERYTHING, exc.sentence, exc)


def _failed(subject: str, sentence: str, exc: errors.SddError) -> Result:
    failure = progress.Failure(subject=subject, sentence=sentence, hint=exc.hint, code=exc.code)
    return Result(failures=(failure,))
