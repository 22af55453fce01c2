"""An exception that nobody foresaw, as text: it holds nothing of what it was raised in."""

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """What was raised, at which line, and the traceback that leads there."""

    what: str
    kind: str
    place: str
    trace: str

    @classmethod
    def of(cls, exc: BaseException) -> Self:
        """The exception `exc`, which need not have been raised anywhere."""
        frames = traceback.extract_tb(exc.__traceback__)
        at = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"
        trace = "".join(traceback.format_exception(exc))
        return cls(what=repr(exc), kind=type(exc).__name__, place=at, trace=trace)
