"""Whether the daemon hears who refuses connections: told in the log, in the status and by doctor.

In: why it does not. Out: the same, for as long as this daemon runs. Nothing is decided here.
"""

import structlog

say: structlog.stdlib.BoundLogger = structlog.get_logger("sdd")


class Hearing:
    """`why` is empty while refusals are heard."""

    def __init__(self) -> None:
        self.why = ""

    def lost(self, why: str) -> None:
        """The kernel gives no such signs, and will not before the daemon starts again."""
        self.why = why
        say.warning("lb.no_refusals", why=why)
