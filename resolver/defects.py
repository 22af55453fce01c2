"""A mistake of ours after which the work goes on: its traceback is told to who reads the log."""

import contextlib
import traceback


def tell() -> None:
    """Print the exception that is being handled; a log that nobody reads any more ends nothing."""
    with contextlib.suppress(OSError, ValueError):  # a broken pipe, a full disk; closed
        traceback.print_exc()
