import asyncio
import io
from contextlib import aclosing

import structlog

from sdd import log
from sdd.logbook import LONGEST, Logbook


def test_lines_come_as_the_log_has_them() -> None:
    book = Logbook(lambda: 7.0)
    log.configure("info", "text", stream=io.StringIO(), keep=book.keep)
    try:
        logger = structlog.get_logger()
        logger.debug("quiet")
        logger.warning("odd", subject="x", steps=3, long="y" * 9000)
    finally:
        structlog.reset_defaults()
    (line,) = book.lines()
    assert (line.at, line.level, line.message, line.number) == (7.0, "warn", "odd", 1)
    assert line.fields == {"subject": "x", "steps": "3", "long": "y" * LONGEST}


async def test_a_follower_hears_the_next_line_and_what_it_missed() -> None:
    book = Logbook(lambda: 7.0, capacity=1)
    async with aclosing(book.follow(0, 60)) as lines:
        waiting = asyncio.get_running_loop().create_task(anext(lines), name="next")
        await asyncio.sleep(0)
        book.keep({"level": "info", "msg": "one"})
        first = await waiting
        for name in ("two", "three"):
            book.keep({"level": "info", "msg": name})
        found = [first, await anext(lines), await anext(lines)]
    assert [each and each.message for each in found] == ["one", "log.lost", "three"]
    assert found[1] is not None
    assert found[1].fields == {"count": "1"}
