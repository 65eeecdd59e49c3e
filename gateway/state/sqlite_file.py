"""Opening a SQLite file: owned by one process, of our making, intact, and at the newest schema."""

import contextlib
import sqlite3
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from gateway.state.store import StoreUnavailable

__all__ = ["MEMORY", "describe", "open_database"]

MEMORY = ":memory:"

_BUSY_SECONDS = 0.25
_REASONS = {
    sqlite3.SQLITE_BUSY: "another program has locked it",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; does the folder exist, and may we write there?",
    sqlite3.SQLITE_CORRUPT: "the file is damaged",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk failed",
    sqlite3.SQLITE_NOTADB: "the file is not a database, or is damaged",
    sqlite3.SQLITE_READONLY: "it is read-only",
}


def describe(path: str, error: sqlite3.Error | OSError) -> StoreUnavailable:
    """Say in one sentence what is wrong with the state file."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return StoreUnavailable(f"state file {path}: {_REASONS.get(code, error)}")


@contextlib.contextmanager
def open_database(path: str) -> Iterator[sqlite3.Connection]:
    """Own `path` until the context ends; `MEMORY` is a database that nobody shares.

    Raises:
        StoreUnavailable: the file is another process's, unwritable, damaged or not a gateway's.
    """
    try:
        with _ownership(path), contextlib.closing(_connect(path)) as connection:
            _check(path, connection)
            _migrate(connection)
            yield connection
    except (sqlite3.Error, OSError) as error:
        raise describe(path, error) from error


@contextlib.contextmanager
def _ownership(path: str) -> Iterator[None]:
    """Hold `path`.lock by SQLite's own lock: portable, and the kernel frees it when we are killed."""
    if path == MEMORY:
        yield
        return
    with contextlib.closing(sqlite3.connect(f"{path}.lock", timeout=0, isolation_level=None)) as lock:
        try:
            lock.execute("PRAGMA journal_mode = OFF")
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise StoreUnavailable(f"state file {path} is in use by another gateway process") from error
            raise
        if not Path(path).exists():
            Path(path).touch(mode=0o600)
        yield


def _connect(path: str) -> sqlite3.Connection:
    """Open in autocommit mode: transactions are begun by hand."""
    return sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)


def _check(path: str, connection: sqlite3.Connection) -> None:
    """Refuse a damaged file, and one that another program or a newer gateway has made."""
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise StoreUnavailable(f"state file {path}: the file is damaged ({verdict})")
    version, newest = _schema_version(connection), len(_migrations())
    if version > newest:
        raise StoreUnavailable(f"state file {path} is at schema {version}; this gateway knows up to {newest}")
    if version == 0 and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise StoreUnavailable(f"state file {path} belongs to another program")


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema to the newest version, each step whole or not at all."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    scripts = _migrations()
    for number, script in enumerate(scripts, start=1):
        if number > _schema_version(connection):
            with connection:
                connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT")
    # A write that changes nothing: a read-only file shall say so now, not at the first record.
    connection.execute(f"PRAGMA user_version = {len(scripts)}")


def _schema_version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _migrations() -> list[str]:
    """Return the scripts 0001_*.sql, 0002_*.sql and so on, in order."""
    folder = resources.files("gateway.state") / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda f: f.name)
    return [file.read_text("utf-8") for file in files]
