"""sdctl as a user types it, against the real server over commands in memory."""

import asyncio
import io
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdd import log
from sdd.api.server import serve
from sdd.cli import root
from tests.unit.sdd.api.appliance import Appliance


@dataclass(frozen=True)
class Done:
    """How one command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Shell:
    """Types commands; `appliance` is what is behind the socket."""

    def __init__(self, appliance: Appliance, url: str, capture: Callable[[], Any]) -> None:
        self.appliance = appliance
        self.url = url
        self._capture = capture

    def __call__(self, *argv: str) -> Done:
        self._capture()
        code = root.run(["-H", self.url, *argv])
        out, err = self._capture()
        return Done(code, out, err)

    def ok(self, *argv: str) -> Done:
        done = self(*argv)
        assert done.code == 0, done
        return done


@contextmanager
def running(appliance: Appliance, path: Path) -> Iterator[str]:
    """The server in a thread of its own, because sdctl is synchronous; yields its URL."""
    log.configure("info", "text", stream=io.StringIO())
    ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        server = await serve(appliance.context, [f"unix://{path}"])
        end = asyncio.Event()
        ready.set_result((asyncio.get_running_loop(), end))
        await end.wait()
        await server.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="server")
    thread.start()
    loop, end = ready.result(60)
    yield f"unix://{path}"
    loop.call_soon_threadsafe(end.set)
    thread.join(60)
    assert not thread.is_alive()
