"""The SQLite database itself: tables, transactions, history, leases. Synchronous, for one thread.

In: the path and the contract's values. Out: items, batches; every sqlite3 error leaves as an
error of sdd.errors. It knows no event loop and no watch (sqlite.py has those).
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sdd import errors, plain
from sdd.model import ids
from sdd.store import codec, contract, reserve

APPLICATION_ID = 0x53444431  # "SDD1" in the file's header: says whose database this is
SCHEMA = 1
PRIVATE = 0o600  # labels and names are nobody else's business, as on the API's socket
HISTORY = 8192  # revisions a watch may look back; a full read is cheaper beyond that
COMPACT_EVERY = 512  # commits between two compactions: amortises the deletion

TABLES = """
create table item (
    key text primary key, value blob not null, revision integer not null,
    lease integer not null default 0
) without rowid;
create index item_lease on item (lease) where lease != 0;
create table history (
    revision integer, ordinal integer, key text not null, value blob,
    primary key (revision, ordinal)
) without rowid;
create table lease (id integer primary key autoincrement, ttl_s real not null);
create table mark (name text primary key, value integer not null) without rowid;
insert into mark values ('revision', 0), ('compacted', 0);
"""
LAST = "\U0010ffff"  # sorts behind every key character


class Tables:
    """An open database.

    `revision` is the newest, `compacted` the newest no longer in history; `inherited` are the
    leases found at opening with their times to live in seconds.
    """

    def __init__(self, path: Path, *, history: int = HISTORY) -> None:
        """Open or create.

        Raises `Unavailable`: SDD-STORE-OPEN, -BUSY, -FOREIGN, -CORRUPT, -SCHEMA.
        """
        self._path = path
        self._history = history
        self._commits = 0
        self.revision = self.compacted = ids.NEVER
        self.inherited: dict[int, float] = {}
        with self._translated():
            _create_private(path)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=1.0)
        try:
            self._prepare()
        except errors.SddError:
            self._db.close()
            raise
        self._reserve = reserve.Reserve(path)
        self._reserve.keep()

    def close(self) -> None:
        """Checkpoint and release the file."""
        self._db.close()

    # --- reads ------------------------------------------------------------------------------

    def get(self, key: str) -> contract.Item | None:
        """The item, or None."""
        with self._translated():
            row = self._db.execute(
                "select key, value, revision from item where key = ?", (key,)
            ).fetchone()
        return _item(row) if row else None

    def range(self, prefix: str) -> contract.View:
        """All items below `prefix`, in key order."""
        with self._translated():
            rows = self._db.execute(
                "select key, value, revision from item where key >= ? and key < ? order by key",
                (prefix, prefix + LAST),
            ).fetchall()
        return contract.View(revision=self.revision, items=tuple(map(_item, rows)))

    def since(self, after: ids.Revision) -> tuple[contract.Batch, ...]:
        """The batches above `after`; raises `Compacted`."""
        if after < self.compacted:
            raise contract.Compacted(f"revision {after} is older than {self.compacted}")
        with self._translated():
            rows = self._db.execute(
                "select revision, key, value from history where revision > ?"
                " order by revision, ordinal",
                (after,),
            ).fetchall()
        grouped: dict[int, list[contract.Operation]] = {}
        for revision, key, value in rows:
            grouped.setdefault(revision, []).append(
                contract.Delete(key) if value is None else contract.Write(key, value)
            )
        return tuple(
            contract.Batch(revision=ids.Revision(revision), operations=tuple(operations))
            for revision, operations in grouped.items()
        )

    # --- writes -----------------------------------------------------------------------------

    def commit(self, transaction: contract.Transaction) -> contract.Batch | None:
        """The batch made, on disk; None when nothing changed. Raises `Lost`.

        On a full disk removals, what begins them, and verdicts get the room that is kept for them.
        """
        try:
            batch = self._committed(transaction)
        except errors.Unavailable as exc:
            if getattr(exc.__cause__, "sqlite_errorcode", 0) != sqlite3.SQLITE_FULL:
                raise
            batch = self._committed_in_room_made(transaction)
        if batch is None:
            return None
        self.revision = batch.revision
        self._commits += 1
        if self._commits % COMPACT_EVERY == 0:
            self.compact()
            self._reserve.keep()
        return batch

    def _committed(self, transaction: contract.Transaction) -> contract.Batch | None:
        with self._written():
            for compare in transaction.compares:
                self._check(compare)
            return self._operate(transaction.operations)

    def _committed_in_room_made(self, transaction: contract.Transaction) -> contract.Batch | None:
        """Once more, when the log's pages are in the database and the log is empty."""
        if _is_urgent(transaction):
            self._reserve.give_up()
        try:
            self._empty_log()
            return self._committed(transaction)
        finally:
            self._empty_log()
            self._reserve.keep()

    def _empty_log(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # the database itself may need room that is not
            self._db.execute("pragma wal_checkpoint(truncate)")

    def grant(self, ttl_s: float) -> int:
        """A new lease id, never given before."""
        with self._written():
            row = self._db.execute("insert into lease (ttl_s) values (?)", (ttl_s,))
        assert row.lastrowid is not None
        return row.lastrowid

    def revoke(self, lease: int) -> contract.Batch | None:
        """Ends `lease`; the batch of what it held."""
        with self._translated():
            rows = self._db.execute(
                "select key from item where lease = ? order by key", (lease,)
            ).fetchall()
        with self._written():
            self._db.execute("delete from lease where id = ?", (lease,))
            batch = self._operate(tuple(contract.Delete(key) for (key,) in rows))
        if batch:
            self.revision = batch.revision
        return batch

    def compact(self) -> None:
        """Forget all but the newest `history` revisions."""
        floor = ids.Revision(self.revision - self._history)
        if floor <= self.compacted:
            return
        with self._written():
            self._db.execute("delete from history where revision <= ?", (floor,))
            self._db.execute("update mark set value = ? where name = 'compacted'", (floor,))
        self.compacted = floor

    def _check(self, compare: contract.Compare) -> None:
        match compare:
            case contract.Unchanged(key, revision):
                row = self._db.execute("select revision from item where key = ?", (key,)).fetchone()
                if (row[0] if row else ids.NEVER) != revision:
                    raise contract.Lost(key)
            case contract.EmptyRange(prefix):
                if self._db.execute(
                    "select 1 from item where key >= ? and key < ? limit 1", (prefix, prefix + LAST)
                ).fetchone():
                    raise contract.Lost(prefix)

    def _operate(self, operations: tuple[contract.Operation, ...]) -> contract.Batch | None:
        revision = ids.Revision(self.revision + 1)
        done: list[contract.Operation] = []
        for operation in operations:
            match operation:
                case contract.Write(key, value):
                    self._write(operation, revision)
                    done.append(contract.Write(key, value))
                case contract.Delete(key):
                    if self._db.execute("delete from item where key = ?", (key,)).rowcount:
                        done.append(operation)
        if not done:
            return None
        self._db.executemany(
            "insert into history values (?, ?, ?, ?)",
            [
                (revision, ordinal, each.key, getattr(each, "value", None))
                for ordinal, each in enumerate(done)
            ],
        )
        self._db.execute("update mark set value = ? where name = 'revision'", (revision,))
        return contract.Batch(revision=revision, operations=tuple(done))

    def _write(self, write: contract.Write, revision: ids.Revision) -> None:
        if (
            write.lease
            and not self._db.execute("select 1 from lease where id = ?", (write.lease,)).fetchone()
        ):
            raise contract.no_lease(write.lease)
        self._db.execute(
            "insert into item values (?, ?, ?, ?) on conflict (key) do update"
            " set value = excluded.value, revision = excluded.revision, lease = excluded.lease",
            (write.key, write.value, revision, write.lease),
        )

    # --- opening ----------------------------------------------------------------------------

    def _prepare(self) -> None:
        with self._translated():
            # Exclusive: a second daemon on the same data root is refused by the kernel's own lock,
            # which a kill -9 releases.
            self._db.execute("pragma locking_mode = exclusive")
            self._db.execute("begin exclusive")
            self._recognise()
            _make_private(self._path)
            self._db.execute("commit")
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")
            damage = self._db.execute("pragma quick_check(1)").fetchone()[0]
            if damage != "ok":
                raise self._refusal("CORRUPT", f"is damaged: {damage}")
            marks = dict(self._db.execute("select name, value from mark").fetchall())
            leases = dict(self._db.execute("select id, ttl_s from lease").fetchall())
        self.revision = ids.Revision(marks["revision"])
        self.compacted = ids.Revision(marks["compacted"])
        self.inherited = leases

    def _recognise(self) -> None:
        """Inside a transaction: our database of our version, or an empty file that becomes one."""
        owner = self._db.execute("pragma application_id").fetchone()[0]
        version = self._db.execute("pragma user_version").fetchone()[0]
        if owner == 0 and not self._db.execute("select 1 from sqlite_master").fetchone():
            for statement in TABLES.split(";"):
                self._db.execute(statement)
            self._db.execute(f"pragma application_id = {APPLICATION_ID}")
            self._db.execute(f"pragma user_version = {SCHEMA}")
        elif owner != APPLICATION_ID:
            raise self._refusal("FOREIGN", "is a database of another program")
        elif version != SCHEMA:
            raise self._refusal(
                "SCHEMA", f"has schema version {version}, this sdd knows version {SCHEMA}"
            )

    # --- errors -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        """One write transaction: all of it is on disk afterwards, or none of it happened."""
        with self._translated():
            self._db.execute("begin immediate")
            try:
                yield
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            name = getattr(exc, "sqlite_errorname", "")
            what, words = FAULTS.get(name.removeprefix("SQLITE_"), ("FAILED", "cannot be used"))
            raise self._refusal(what, f"{words} ({exc})") from exc

    def _refusal(self, what: str, words: str) -> errors.Unavailable:
        return errors.Unavailable(
            f"the database {self._path} {words}", hint=HINTS[what], code=f"SDD-STORE-{what}"
        )


def _is_urgent(transaction: contract.Transaction) -> bool:
    """Whether less is stored afterwards, now or soon, or all of it says how members are.

    A member that dies leaves names and balancing by this; it takes hardly more room than before.
    """
    operations = transaction.operations
    kinds = [isinstance(each, contract.Delete) for each in operations]
    is_word = all(each.key.startswith(codec.VERDICTS) for each in operations)
    return transaction.begins_removal or is_word or kinds.count(True) > kinds.count(False)


def _create_private(path: Path) -> None:
    """An absent database is made readable by its owner only; SQLite gives its log the same mode."""
    # What else goes wrong here goes wrong for SQLite too, which says it in its own terms.
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE))


def _make_private(path: Path) -> None:
    """The same for a database of ours, and its log, that an older release left open to all."""
    for each in (path, path.with_name(f"{path.name}-wal")):
        # By name: closing a descriptor of the file would drop SQLite's locks on it (fcntl(2)). What
        # a link leads to may be a device, which others need.
        with contextlib.suppress(FileNotFoundError, PermissionError, plain.NotPlain):
            plain.check(each)
            each.chmod(PRIVATE)


def _item(row: tuple[str, bytes, int]) -> contract.Item:
    key, value, revision = row
    return contract.Item(key=key, value=value, revision=ids.Revision(revision))


FAULTS = {  # sqlite's result name → our code and words
    "NOTADB": ("FOREIGN", "is no SQLite database"),
    "CORRUPT": ("CORRUPT", "is damaged"),
    "BUSY": ("BUSY", "is already in use by another process"),
    "CANTOPEN": ("OPEN", "cannot be opened"),
    "READONLY": ("OPEN", "cannot be written"),
    "FULL": ("FULL", "cannot grow: the disk is full"),
    "IOERR": ("FAILED", "cannot be read or written"),
}
HINTS = {
    "FOREIGN": "choose another data-root, or move that file away",
    "CORRUPT": "restore it from a backup, or move it away to start empty",
    "SCHEMA": "run the release of sdd that wrote it, or move it away to start empty",
    "BUSY": "stop the other sdd that uses this data-root, or choose another data-root",
    "OPEN": "check that the data-root exists and that sdd may write to it",
    "FULL": "free some disk space; what is configured keeps working",
    "FAILED": "look at the disk and the kernel log; what is configured keeps working",
}
