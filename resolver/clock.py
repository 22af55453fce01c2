"""The one clock by which a worker counts how old things are.

Out: seconds since the machine started, those in which it slept among them: a TTL runs on while a
laptop is shut or a guest is paused. `time.monotonic` stands still then, and what was kept came back
with hours that it no longer had. Only the event loop's own timers go by that one.
"""

import functools
import time
from typing import Final

now: Final = functools.partial(time.clock_gettime, time.CLOCK_BOOTTIME)
