"""The one tree of errors: who is at fault, what happened, what to do, how the API says it.

Every error a person can see is an `SddError`: a sentence naming the object and the conflicting
object, a hint saying what to do, and a stable code such as ``SDD-NET-OVERLAP``. Boundaries
translate foreign exceptions into this tree once; nothing in here imports anything of ours.
"""

from collections.abc import Mapping
from typing import ClassVar


class SddError(Exception):
    """Base of all errors meant for people; never raised itself.

    `code` is stable across releases, `hint` is one line of advice or empty, `status` is the HTTP
    status and `exit_code` what `sdctl` ends with.
    """

    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    default_code: ClassVar[str] = "SDD-DEFECT"

    def __init__(self, sentence: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint
        self.code = code or self.default_code

    def __str__(self) -> str:
        return f"{self.sentence} [{self.code}]"


class Invalid(SddError):
    """The caller asked for something that cannot be (400)."""

    status = 400
    default_code = "SDD-INVALID"


class Usage(Invalid):
    """The command line itself is wrong (exit 2)."""

    exit_code = 2
    default_code = "SDD-USAGE"


class TooLarge(Invalid):
    """A request is bigger than anything that makes sense (413)."""

    status = 413
    default_code = "SDD-API-LARGE"


class NoSuchMethod(Invalid):
    """The path exists, the HTTP method on it does not (405); `allowed` lists those that do."""

    status = 405
    default_code = "SDD-API-METHOD"

    def __init__(self, sentence: str, *, allowed: str, hint: str = "", code: str = "") -> None:
        super().__init__(sentence, hint=hint, code=code)
        self.allowed = allowed


class TooSlow(Invalid):
    """A request did not become complete in the time it has (408)."""

    status = 408
    default_code = "SDD-API-SLOW"


class Forbidden(SddError):
    """The caller may not do this, or this object may never be changed so (403)."""

    status = 403
    default_code = "SDD-FORBIDDEN"


class Denied(SddError):
    """The operating system or the API refuses this caller (403, exit 77 = EX_NOPERM)."""

    status = 403
    exit_code = 77
    default_code = "SDD-DENIED"


class NotFound(SddError):
    """No object answers to that name, id or prefix (404)."""

    status = 404
    default_code = "SDD-NOTFOUND"


class Conflict(SddError):
    """Something else already holds what was asked for (409)."""

    status = 409
    default_code = "SDD-CONFLICT"


class Exhausted(SddError):
    """A bounded resource is used up: addresses, pools, ports (507)."""

    status = 507
    default_code = "SDD-EXHAUSTED"


class Unavailable(SddError):
    """Right now this cannot be done; trying again later may work (503)."""

    status = 503
    default_code = "SDD-UNAVAILABLE"


class Unreachable(SddError):
    """The daemon does not answer on its socket (exit 69 = EX_UNAVAILABLE)."""

    status = 503
    exit_code = 69
    default_code = "SDD-UNREACHABLE"


class TimedOut(SddError):
    """The caller's patience ended first; the work may still complete (504, exit 124)."""

    status = 504
    exit_code = 124
    default_code = "SDD-TIMEOUT"


class KernelRefused(SddError):
    """The kernel did not do what was wanted; the hint says what became of it (500)."""

    default_code = "SDD-KERNEL"


class Defect(SddError):
    """Our own bug: an assumption of ours does not hold (500)."""


QUOTED = 80  # characters of a caller's text in one sentence: about a line
LONGEST = 2000  # characters of a whole sentence: what lists the networks of a host still fits


def shortened(text: str, longest: int = QUOTED) -> str:
    """`text` as a sentence can hold it; how long it is, where that is too long to read."""
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters)"


def quoted(text: str) -> str:
    """The same between quotes, with escapes for what cannot be printed."""
    return repr(text) if len(text) <= QUOTED else f"{text[:QUOTED]!r}… ({len(text)} characters)"


def to_problem(error: SddError) -> Mapping[str, object]:
    """The one JSON shape in which the API reports an error; bounded, whatever was quoted."""
    return {
        "error": shortened(error.sentence, LONGEST),
        "hint": error.hint,
        "code": error.code,
        "status": error.status,
        "exit": error.exit_code,
    }
