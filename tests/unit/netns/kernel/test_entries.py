"""Links in the folder of `ip netns` that hands touch are told at once, and no others."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from netns.kernel import entries
from sdd.model.look import Look
from tests.support import eventually_async


class Host:
    """Files that stand for namespaces in `made`, with links to them in `linked`."""

    def __init__(self, root: Path) -> None:
        self.made, self.linked = root / "made", root / "run" / "netns"
        self.made.mkdir()
        self.linked.parent.mkdir()
        self.paths: list[str] = []
        self.looks: list[Look] = []
        self.asked = 0

    def make(self, name: str) -> str:
        """As the daemon does: the namespace, then its link."""
        (self.made / name).touch()
        self.linked.mkdir(exist_ok=True)
        self.link(name)
        self.paths.append(str(self.made / name))
        return str(self.made / name)

    def link(self, name: str) -> None:
        (self.linked / name).symlink_to(self.made / name)

    def wanted(self) -> list[str]:
        self.asked += 1
        return self.paths

    @contextlib.asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            following = entries.follow(self.wanted, self.looks.append, self.linked)
            task = group.create_task(following, name="entries")
            await asyncio.sleep(0)  # it watches before it waits
            yield
            task.cancel()

    async def told(self, *paths: str) -> None:
        await eventually_async(lambda: self.looks, 60, "it is told")
        assert self.looks == [Look(spaces=frozenset(paths))]
        self.looks.clear()


async def test_a_link_that_is_removed_or_leads_elsewhere_is_told(tmp_path: Path) -> None:
    host = Host(tmp_path)
    a, b = host.make("a"), host.make("b")
    host.make("c")
    async with host.followed():
        (host.linked / "a").unlink()
        await host.told(a)
        host.link("a")
        (host.linked / "b").unlink()
        (host.linked / "b").symlink_to(host.made / "c")
        await host.told(b)


async def test_a_folder_that_is_removed_and_comes_again_is_watched_anew(tmp_path: Path) -> None:
    host = Host(tmp_path)
    a, b = host.make("a"), host.make("b")
    async with host.followed():
        shutil.rmtree(host.linked)
        await host.told(a, b)
        host.linked.mkdir()
        for name in ("a", "b"):
            host.link(name)
        asked = host.asked
        await eventually_async(lambda: host.asked > asked, 60, "it looked at the new folder")
        host.looks.clear()
        (host.linked / "b").unlink()
        await host.told(b)


async def test_what_we_make_and_remove_and_what_others_have_there_is_no_news(
    tmp_path: Path,
) -> None:
    host = Host(tmp_path)
    host.make("a")
    async with host.followed():
        host.make("b")
        host.paths.remove(host.make("c"))
        (host.linked / "c").unlink()  # its sandbox went
        (host.linked / "theirs").touch()
        (host.linked / "theirs").unlink()
        (host.linked / "a").unlink()
        await host.told(str(host.made / "a"))
