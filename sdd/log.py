"""The daemon's log: one event name with fields per line, on stderr.

In: level and format. Out: structlog configured for the whole process, foreign loggers (asyncio,
aiohttp) led into it. logfmt for people, JSON for machines; under journald the journal stamps time.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, TextIO, cast

import structlog

Keep = Callable[[Mapping[str, object]], None]

LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
# syslog priorities: journald reads them as "<N>" at the start of a line (sd-daemon(3))
PRIORITIES: Mapping[str, int] = {"debug": 7, "info": 6, "warn": 4, "error": 3, "fatal": 2}
NAMES: Mapping[str, str] = {"warning": "warn", "critical": "fatal", "exception": "error"}


def configure(
    level: str,
    form: str,
    *,
    stream: TextIO | None = None,
    journal: bool | None = None,
    keep: Keep | None = None,
) -> None:
    """Log from `level` on in `form` ("text" or "json"); may be called again at a reload.

    `keep` is given the fields of each line as well.
    """
    out = stream or sys.stderr
    to_journal = _is_journal(out) if journal is None else journal
    structlog.configure(
        processors=_chain(form, to_journal, keep),
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Unfailing(out))),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Foreign()]
    root.setLevel(max(LEVELS[level], logging.WARNING))


class _Unfailing:
    """A stream as far as a logger writes to it: a full disk or a broken pipe ends no daemon."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """What finds no room is lost."""
        with contextlib.suppress(OSError, ValueError):  # ValueError: it is closed
            self._stream.write(text)

    def flush(self) -> None:
        """The same."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def _is_journal(out: TextIO) -> bool:
    """Whether `out` is the journal's own stream: the variable alone survives redirection."""
    try:
        found = os.fstat(out.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _chain(form: str, journal: bool, keep: Keep | None) -> list[Any]:
    chain: list[Any] = [structlog.contextvars.merge_contextvars, _level]
    if not (journal and form == "text"):
        chain.append(structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"))
    chain += [structlog.processors.EventRenamer("msg"), _traceback]
    chain += [_keeping(keep)] if keep is not None else []
    if form == "json":
        return [*chain, structlog.processors.JSONRenderer(default=str)]
    order = ["time", "level", "msg"]
    chain += [_texts, structlog.processors.LogfmtRenderer(key_order=order, drop_missing=True)]
    return [*chain, _priority] if journal else chain


def _keeping(keep: Keep) -> Any:
    def processor(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        keep(event)
        return event

    return processor


def _level(_: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["level"] = NAMES.get(method, method)
    return event


def _traceback(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception's traceback as one field; a log line stays one line."""
    structlog.processors.format_exc_info(_, __, event)
    if "exception" in event:
        event["traceback"] = event.pop("exception")
    return event


def _texts(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Logfmt keys hold no blanks; values may be anything, the renderer quotes and escapes."""
    return {key.replace(" ", "_"): value for key, value in event.items()}


def _priority(_: Any, method: str, line: str) -> str:
    return f"<{PRIORITIES[NAMES.get(method, method)]}>{line}"


class _Foreign(logging.Handler):
    """Leads records of the standard library's loggers into ours."""

    def emit(self, record: logging.LogRecord) -> None:
        name = record.levelname.lower()
        logger = structlog.get_logger()
        write = getattr(logger, {"critical": "critical", "warning": "warning"}.get(name, name))
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        write("foreign", text=record.getMessage(), **fields)
