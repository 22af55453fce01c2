"""The SQLite engine passes the store's suite, and keeps what it acknowledged."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sdd import errors
from sdd.model import ids
from sdd.store import contract, tables
from sdd.store.contract import Transaction, Write
from sdd.store.sqlite import SqliteStore
from tests.contract.store import Engine, StoreContract, put, take


class TestSqliteStore(StoreContract):
    @pytest.fixture
    async def engine(self, tmp_path: Path) -> AsyncIterator[Engine]:
        now = [0.0]
        store = await SqliteStore.open(tmp_path / "sdd.db", clock=lambda: now[0])

        def elapse(seconds: float) -> None:
            now[0] += seconds

        async def compact() -> None:
            store._rows._history = 0
            await store._submit(store._rows.compact)
            store._log._ring.clear()
            store._log._floor = store._rows.revision

        yield Engine(store=store, elapse=elapse, compact=compact)
        await store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sdd.db"


async def test_everything_is_there_after_a_restart(path: Path) -> None:
    store = await SqliteStore.open(path)
    revision = await put(store, a="1", b="2")
    await store.close()
    again = await SqliteStore.open(path)
    view = await again.range("")
    assert view.revision == revision
    assert [item.key for item in view.items] == ["a", "b"]
    assert await put(again, a="3") == revision + 1
    await again.close()


async def test_a_watch_goes_on_over_a_restart(path: Path) -> None:
    store = await SqliteStore.open(path)
    first = await put(store, a="1")
    second = await put(store, a="2")
    await store.close()
    again = await SqliteStore.open(path)
    third = await put(again, a="3")
    batches = await take(again.watch("", first), 2)
    assert [b.revision for b in batches] == [second, third]
    await again.close()


async def test_a_lease_gets_its_whole_time_again_after_a_restart(path: Path) -> None:
    now = [0.0]
    store = await SqliteStore.open(path, clock=lambda: now[0])
    lease = await store.lease(10)
    await store.commit(Transaction(operations=(Write("a", b"1", lease),)))
    now[0] = 9
    await store.close()
    again = await SqliteStore.open(path, clock=lambda: now[0])
    now[0] = 18
    assert await again.get("a")
    now[0] = 20
    assert await again.get("a") is None
    assert await again.lease(1) != lease
    await again.close()


async def test_a_lease_ends_without_anyone_asking(path: Path) -> None:
    now = [0.0]
    store = await SqliteStore.open(path, clock=lambda: now[0])
    lease = await store.lease(0.05)
    revision = await store.commit(Transaction(operations=(Write("a", b"1", lease),)))
    now[0] = 1.0
    (batch,) = await take(store.watch("", revision), 1)
    assert batch.operations == (contract.Delete("a"),)
    await store.close()


async def test_one_thread_owns_the_database(path: Path) -> None:
    before = set(threading.enumerate())
    store = await SqliteStore.open(path)
    await asyncio.gather(*(put(store, a=str(n)) for n in range(50)))
    (owner,) = set(threading.enumerate()) - before
    assert owner.name.startswith("sdd-store")
    await store.close()
    assert not owner.is_alive()


async def test_commits_are_synced_to_disk_in_wal_mode(path: Path) -> None:
    store = await SqliteStore.open(path)
    db = store._rows._db
    modes = await store._submit(
        lambda: [
            db.execute(f"pragma {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        ]
    )
    assert modes == ["wal", 2]
    await store.close()


async def test_a_slow_watch_falls_back_to_the_history(path: Path) -> None:
    store = await SqliteStore.open(path)
    store._log._size = 4
    first = await put(store, a="0")
    revisions = [await put(store, a=str(n)) for n in range(20)]
    assert [b.revision for b in await take(store.watch("", first), 20)] == revisions
    await store.close()


async def test_history_is_compacted_by_itself(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "COMPACT_EVERY", 8)
    store = await SqliteStore.open(path, history=5)
    for n in range(16):
        await put(store, a=str(n))
    kept = await store._submit(lambda: store._rows.since(store._rows.compacted))
    assert len(kept) == 5
    with pytest.raises(contract.Compacted):
        await store._older(ids.NEVER)
    await store.close()


KILLED = """
import asyncio, pathlib, sys
from sdd.store.contract import Transaction, Write
from sdd.store.sqlite import SqliteStore

async def main() -> None:
    store = await SqliteStore.open(pathlib.Path(sys.argv[1]))
    n = 0
    while True:
        n += 1
        await store.commit(Transaction(operations=(Write(f"k{n:06}", b"x"), Write("last", b"%d" % n))))
        print(n, flush=True)

asyncio.run(main())
"""


def killed_writer(path: Path) -> int:
    """The last commit that a writer acknowledged before it was killed."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        for _ in range(40):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
        assert writer.wait(60) == -signal.SIGKILL
    return max((int(line) for line in rest), default=40)


async def test_what_was_acknowledged_survives_kill_9(path: Path) -> None:
    for _ in range(3):
        acknowledged = await asyncio.to_thread(killed_writer, path)
        store = await SqliteStore.open(path)
        last = await store.get("last")
        assert last is not None
        assert int(last.value) >= acknowledged
        view = await store.range("k")
        assert [item.key for item in view.items][: int(last.value)] == [
            f"k{n:06}" for n in range(1, int(last.value) + 1)
        ]
        await store.close()


# --- files that are not ours ----------------------------------------------------------------------


async def refused(path: Path) -> errors.Unavailable:
    with pytest.raises(errors.Unavailable) as caught:
        await SqliteStore.open(path)
    assert str(path) in caught.value.sentence
    assert caught.value.hint
    return caught.value


async def test_a_file_that_is_no_database_is_refused_and_kept(path: Path) -> None:
    path.write_text("this is somebody's diary\n" * 100)
    assert (await refused(path)).code == "SDD-STORE-FOREIGN"
    assert path.read_text().startswith("this is somebody's diary")


async def test_another_programs_database_is_refused_and_kept(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("create table diary (entry)")
    db.commit()
    db.close()
    before = path.read_bytes()
    assert (await refused(path)).code == "SDD-STORE-FOREIGN"
    assert path.read_bytes() == before


async def test_a_damaged_database_is_refused(path: Path) -> None:
    store = await SqliteStore.open(path)
    for n in range(200):
        await put(store, **{f"key{n}": "x" * 500})
    await store.close()
    content = bytearray(path.read_bytes())
    for offset in range(4096, len(content), 64):
        content[offset] ^= 0xFF
    path.write_bytes(content)
    assert (await refused(path)).code == "SDD-STORE-CORRUPT"


async def test_a_newer_schema_is_refused_by_number(path: Path) -> None:
    await (await SqliteStore.open(path)).close()
    db = sqlite3.connect(path)
    db.execute("pragma user_version = 99")
    db.close()
    refusal = await refused(path)
    assert refusal.code == "SDD-STORE-SCHEMA"
    assert "99" in refusal.sentence


async def test_a_second_daemon_on_the_same_database_is_refused(path: Path) -> None:
    store = await SqliteStore.open(path)
    other = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", KILLED, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert other.returncode == 1
    assert "SDD-STORE-BUSY" in other.stderr
    assert "already in use" in other.stderr
    assert await put(store, a="1")
    await store.close()


async def test_a_folder_that_is_absent_is_said(tmp_path: Path) -> None:
    assert (await refused(tmp_path / "none" / "sdd.db")).code == "SDD-STORE-OPEN"


async def test_a_full_disk_fails_the_commit_and_keeps_the_rest(path: Path) -> None:
    store = await SqliteStore.open(path)
    revision = await put(store, a="1")
    pages = await store._submit(lambda: store._rows._db.execute("pragma page_count").fetchone()[0])
    await store._submit(lambda: store._rows._db.execute(f"pragma max_page_count = {pages}"))
    with pytest.raises(errors.Unavailable) as caught:
        await put(store, b="x" * 100_000)
    assert caught.value.code == "SDD-STORE-FULL"
    assert await put(store, a="2") == revision + 1
    await store.close()


async def test_closing_twice_is_fine(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.close()
    await store.close()


def modes(path: Path) -> set[int]:
    return {each.stat().st_mode & 0o777 for each in path.parent.glob(f"{path.name}*")}


async def test_only_its_owner_reads_the_database(path: Path) -> None:
    store = await SqliteStore.open(path)
    await put(store, a="0")
    assert modes(path) == {0o600}
    await store.close()
    assert modes(path) == {0o600}


async def test_a_database_that_was_open_to_all_is_closed_to_others(path: Path) -> None:
    await (await SqliteStore.open(path)).close()
    path.chmod(0o644)
    store = await SqliteStore.open(path)
    await put(store, a="0")
    assert modes(path) == {0o600}
    await store.close()


def test_what_others_need_stays_open_to_them(path: Path, tmp_path: Path) -> None:
    """A link in the place of the log may lead to a device, such as /dev/zero."""
    device = tmp_path / "device"
    os.mkfifo(device)
    device.chmod(0o666)
    path.with_name(f"{path.name}-wal").symlink_to(device)
    tables._make_private(path)
    assert device.stat().st_mode & 0o777 == 0o666
