"""How the interpreter is set in a process that serves: for short waits beside much memory."""

import gc
import sys

# Seconds after which a busy thread lets another have the interpreter: those that talk to the
# kernel wait for it after every call, and Python's own 5 ms would be most of a command's time.
SWITCH_S = 0.0005
# The state is made of values that refer to no one above them: almost nothing is garbage that only a
# search finds. With Python's own 700, 10, 10 the search took a third of the time in which 1000
# services are loaded, and up to 50 ms at once beside 10 000 members.
_THRESHOLDS = (20_000, 20, 50)


def tune() -> None:
    """Once, before the work begins."""
    sys.setswitchinterval(SWITCH_S)
    gc.set_threshold(*_THRESHOLDS)
