import contextlib
import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from sdd import log


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers, root.level
    yield
    root.handlers = before
    root.setLevel(level)
    structlog.reset_defaults()


def lines(level: str = "info", form: str = "text", *, journal: bool = False) -> list[str]:
    out = io.StringIO()
    log.configure(level, form, stream=out, journal=journal)
    logger = structlog.get_logger()
    logger.debug("quiet")
    logger.info("vip.assigned", service="a b", vip="10.0.0.1")
    logger.warning("odd")
    try:
        int("first\nsecond")
    except ValueError:
        logger.exception("broke")
    logging.getLogger("asyncio").warning("slow %s", "callback")
    return out.getvalue().splitlines()


def test_text_is_logfmt_one_line_per_event() -> None:
    found = lines()
    assert len(found) == 4
    assert found[0].split(" ", 1)[1] == 'level=info msg=vip.assigned service="a b" vip=10.0.0.1'
    assert found[0].startswith("time=20")
    assert " level=warn msg=odd" in found[1]
    assert " level=error msg=broke " in found[2]
    assert "first\\\\nsecond" in found[2]
    assert 'text="slow callback"' in found[3]


def test_json_has_the_same_keys() -> None:
    found = [json.loads(line) for line in lines(form="json")]
    assert found[0] | {"level": "info", "msg": "vip.assigned", "vip": "10.0.0.1"} == found[0]
    assert [each["level"] for each in found] == ["info", "warn", "error", "warn"]
    assert "ValueError" in found[2]["traceback"]


def test_under_the_journal_a_priority_takes_the_place_of_the_time() -> None:
    found = lines(journal=True)
    assert [line[:3] for line in found] == ["<6>", "<4>", "<3>", "<4>"]
    assert "time=" not in "".join(found)


def test_levels_filter() -> None:
    assert len(lines("debug")) == 5
    assert [" msg=broke" in line for line in lines("error")] == [True]
    assert lines("fatal") == []


def test_the_journal_is_known_by_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    out = io.StringIO()
    log.configure("info", "text", stream=out)
    structlog.get_logger().info("x")
    assert out.getvalue().startswith("time=")


def test_a_log_that_takes_nothing_any_more_ends_nobody() -> None:
    """The disk of the file is full, or whoever read the pipe is gone."""
    with open("/dev/full", "w", encoding="utf-8", buffering=1) as full:  # noqa: PTH123 - a device
        log.configure("info", "text", stream=full, journal=False)
        structlog.get_logger().info("vip.assigned")
        logging.getLogger("asyncio").warning("slow")
        with contextlib.suppress(OSError):
            full.close()
        structlog.get_logger().info("after it was closed")
