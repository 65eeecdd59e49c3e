"""What only a file can suffer: another owner, a full disk, damage, a kill; and what a sync costs."""

import asyncio
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import aclosing, closing
from importlib import resources
from pathlib import Path

import pytest

from gateway.state import sqlite_file
from gateway.state.sqlite import SqliteStore
from gateway.state.sqlite_file import open_database
from gateway.state.sqlite_thread import Kind, SqliteThread
from gateway.state.store import Record, StoreUnavailable

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
CHILD = [sys.executable, "-m", "tests.state.sqlite_child"]


def child(act: str, path: object, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen([*before, *CHILD, act, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT count(*) FROM records").fetchone()[0]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


async def refusal(path: object) -> str:
    with pytest.raises(StoreUnavailable) as refused:
        await SqliteStore.open(str(path))
    return str(refused.value)


async def test_a_file_has_one_owner_and_a_kill_frees_it(path):
    with child("own", path) as owner:
        assert owner.stdout.readline() == "open\n"
        assert await refusal(path) == f"state file {path} is in use by another gateway process"
        owner.kill()

    store = await SqliteStore.open(str(path))
    assert "in use" in await refusal(path)
    await store.put("t", Record(key="a", value=b"1"), durable=True)
    await store.aclose()
    await (await SqliteStore.open(str(path))).aclose()


@pytest.mark.parametrize("lines", [1, 50, 400])
async def test_what_was_answered_survives_a_kill(path, lines):
    with child("write", path) as writer:
        answered = [writer.stdout.readline().strip() for _ in range(lines)]
        writer.kill()
        answered += writer.stdout.read().split("\n")[:-1]

    store = await SqliteStore.open(str(path))
    found = {record.key: record for record in await store.scan("durable")}
    await store.aclose()
    assert len(answered) >= lines
    assert [found[key].value for key in answered] == [b"done"] * len(answered)


async def test_a_full_disk_refuses_writes_serves_reads_and_recovers_without_a_restart(path):
    with child("fill", path) as filler:
        assert re.fullmatch(r"kept \d+\n", filler.communicate(timeout=20)[0])
    assert filler.returncode == 0


async def test_a_disk_that_is_nearly_full_takes_no_durable_write(path):
    store = await SqliteStore.open(str(path), min_free_bytes=1 << 60)
    with pytest.raises(StoreUnavailable, match="bytes are free"):
        await store.check_durable()
    await store.put("t", Record(key="a", value=b"1"))
    await store.aclose()


async def test_a_lock_of_another_program_delays_writes_only_for_a_moment(path):
    store = await SqliteStore.open(str(path))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable, match="another program has locked it"):
            await store.put("t", Record(key="a", value=b"1"))
        assert time.monotonic() - begun < 1.0
        assert await store.get("t", "a") is None
        with pytest.raises(StoreUnavailable):
            await store.check_durable()
        other.execute("ROLLBACK")

    await store.check_durable()
    assert (await store.put("t", Record(key="a", value=b"1"))).version == 1
    await store.aclose()


async def test_a_stuck_disk_is_waited_for_no_longer_than_our_patience(path):
    thread = SqliteThread(str(path), patience=0.05)
    await thread.start()
    with pytest.raises(StoreUnavailable, match=r"no answer within 0\.05 s"):
        await thread.run(Kind.READ, lambda connection, now: time.sleep(0.2))
    await asyncio.sleep(0.3)

    assert await thread.run(Kind.READ, lambda connection, now: "back") == "back"
    await thread.close()


async def test_a_broken_job_fails_alone(path):
    store = await SqliteStore.open(str(path))
    answers = await asyncio.gather(
        store.put("t", Record(key="a", value=b"1")),
        store.put("t", Record(key="\ud800", value=b"1")),
        store.put("t", Record(key="b", value=b"1")),
        return_exceptions=True,
    )

    assert [type(answer) for answer in answers] == [Record, UnicodeEncodeError, Record]
    await store.aclose()


async def test_a_closed_store_says_so(path):
    store = await SqliteStore.open(str(path))
    pending = [asyncio.create_task(store.put("t", Record(key=str(n), value=b"1"))) for n in range(50)]
    await asyncio.sleep(0)
    await store.aclose()
    await store.aclose()

    assert len(await asyncio.gather(*pending)) == 50
    with pytest.raises(StoreUnavailable, match="is closed"):
        await store.get("t", "a")


async def test_a_write_whose_caller_has_gone_is_still_told(path):
    store = await SqliteStore.open(str(path))
    async with aclosing(store.watch("t")) as hints, asyncio.timeout(5):
        await anext(hints)
        write = asyncio.create_task(store.put("t", Record(key="a", value=b"1")))
        await asyncio.sleep(0)
        write.cancel()
        assert await anext(hints) == "a"
    await store.aclose()


async def test_expired_rows_are_buried_a_few_at_a_time(path):
    store = await SqliteStore.open(str(path))
    soon = await store.now() + 0.3
    await asyncio.gather(*(store.put("t", Record(key=str(n), value=b"1", expires=soon)) for n in range(100)))
    assert rows(path) == 100
    await asyncio.sleep(0.35)
    left = []
    for n in range(8):
        await store.put("u", Record(key=str(n), value=b"1"))
        left.append(rows(path))

    assert left == [85, 70, 55, 40, 25, 10, 7, 8]
    await store.aclose()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not a database, not at all", "the file is not a database, or is damaged"),
        (b"SQLite format 3\0" + b"\xff" * 4000, "the file is not a database, or is damaged"),
    ],
)
async def test_what_is_no_database_is_refused(path, content, reason):
    path.write_bytes(content)

    assert await refusal(path) == f"state file {path}: {reason}"
    assert path.read_bytes() == content


async def test_a_damaged_page_is_found_when_the_file_is_opened(path):
    store = await SqliteStore.open(str(path))
    for n in range(200):
        await store.put("t", Record(key=str(n), value=b"x" * 500))
    await store.aclose()
    with path.open("r+b") as file:
        file.seek(4096 * 5)
        file.write(b"\xa5" * 4096 * 4)

    assert "the file is damaged" in await refusal(path)


async def test_a_file_of_another_program_is_refused(path):
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE precious (photo BLOB)")
    before = path.read_bytes()

    assert await refusal(path) == f"state file {path} belongs to another program"
    assert path.read_bytes() == before


async def test_a_file_of_a_newer_gateway_is_refused(path):
    await (await SqliteStore.open(str(path))).aclose()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")

    assert "is at schema 99; this gateway knows up to" in await refusal(path)


async def test_a_migration_is_made_whole_or_not_at_all(path, monkeypatch):
    store = await SqliteStore.open(str(path))
    written = await store.put("t", Record(key="a", value=b"1"))
    await store.aclose()
    today = sqlite_file._migrations()
    broken = "CREATE TABLE half (x); CREATE TABLE half (x);"

    with monkeypatch.context() as patch:
        patch.setattr(sqlite_file, "_migrations", lambda: [*today, broken])
        assert "half already exists" in await refusal(path)
    store = await SqliteStore.open(str(path))
    assert await store.get("t", "a") == written
    await store.aclose()
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT 1 FROM sqlite_master WHERE name = 'half'").fetchone() is None


async def test_migrations_run_once_in_order(path, monkeypatch):
    today = sqlite_file._migrations()
    await (await SqliteStore.open(str(path))).aclose()
    later = [*today, "CREATE TABLE steps (n); INSERT INTO steps VALUES (1);", "INSERT INTO steps VALUES (2);"]
    monkeypatch.setattr(sqlite_file, "_migrations", lambda: later)
    for _ in range(2):
        await (await SqliteStore.open(str(path))).aclose()

    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT n FROM steps ORDER BY rowid").fetchall() == [(1,), (2,)]


def test_migrations_are_numbered_without_a_gap():
    names = sorted(file.name for file in (resources.files("gateway.state") / "migrations").iterdir())

    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))


async def test_the_file_is_ours_to_read_only(path):
    await (await SqliteStore.open(str(path))).aclose()

    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("case", ["read-only file", "unwritable folder", "missing folder", "a folder"])
async def test_what_cannot_be_written_is_refused_with_a_sentence(case):
    with tempfile.TemporaryDirectory() as folder:
        path = _make_unwritable(Path(folder), case)
        with child("refuse", path) as asker:
            answer, _ = asker.communicate(timeout=20)

    assert answer.startswith(f"state file {path}: it ")
    assert ("read-only" in answer) == (case == "read-only file")


def _make_unwritable(folder: Path, case: str) -> Path:
    path = folder / "state.db"
    folder.chmod(0o755 if case == "unwritable folder" else 0o777)
    if case == "missing folder":
        return folder / "missing" / "state.db"
    if case == "read-only file":
        with open_database(str(path)):
            path.chmod(0o444)
        path.with_name("state.db.lock").chmod(0o666)
    if case == "a folder":
        path.mkdir(mode=0o777)
    return path


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
async def test_a_durable_write_is_synced_before_its_answer_and_a_crowd_shares_syncs(path, tmp_path):
    log = tmp_path / "strace.log"
    strace = ("strace", "-f", "-y", "-s", "80", "-e", "trace=fdatasync,fsync,write,pwrite64", "-o", str(log))
    with child("sync", path, strace) as writer:
        writer.communicate(timeout=30)
    steps = _syncs_before_each_answer(log.read_text())

    assert [steps[f"ordinary {n}"] for n in range(5)] == [0] * 5
    assert all(steps[f"durable {n}"] == 1 for n in range(5))
    assert 1 <= steps["crowd"] <= 3


def _syncs_before_each_answer(log: str) -> dict[str, int]:
    """Count the syncs of the log that followed a write to it, up to each line the child told."""
    counts: dict[str, int] = {}
    syncs, dirty = 0, False
    for line in log.splitlines():
        if told := re.search(r'write\(1<[^>]*>, "([^"]+)\\n"', line):
            counts[told[1]], syncs = syncs, 0
        elif re.search(r"pwrite64\(\d+<[^>]*-wal>", line):
            dirty = True
        elif dirty and re.search(r"f(data)?sync\(\d+<[^>]*-wal>", line):
            syncs, dirty = syncs + 1, False
    return counts
