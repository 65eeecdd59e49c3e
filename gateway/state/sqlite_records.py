"""Records as SQL: what each operation of a store does to one SQLite connection.

Every function runs inside the transaction of its caller, and takes the time that counts as now.
"""

# ruff: noqa: S608 - statements are put together from constants; values are always bound.

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

import msgspec

from gateway.state.store import Claim, Conflict, Record

__all__ = ["claim_due", "delete", "get", "list_owned", "probe", "put", "release", "scan", "sweep"]

_SWEEP = 16

_FIELDS = Record.__struct_fields__
_COLUMNS = ", ".join(f'"{field}"' for field in _FIELDS)
_LIVE = "(expires = 0 OR expires > :now)"

_GET = f"SELECT {_COLUMNS} FROM records WHERE tab = :tab AND key = :key AND {_LIVE}"
_SCAN = f"SELECT {_COLUMNS} FROM records WHERE tab = :tab AND {_LIVE} ORDER BY key"
_STANDING = f"SELECT version, fence FROM records WHERE tab = :tab AND key = :key AND {_LIVE}"
_CREATE = f"""
    INSERT OR REPLACE INTO records (tab, {_COLUMNS})
    VALUES (:tab, {", ".join(f":{field}" for field in _FIELDS)})"""
_UPDATE = """
    UPDATE records SET value = :value, version = :version, owner = :owner,
        "order" = :order, due = :due, expires = :expires
    WHERE tab = :tab AND key = :key"""
_DELETE = f"DELETE FROM records WHERE tab = :tab AND key = :key AND {_LIVE}"
_DUE = f"""
    SELECT rowid, {_COLUMNS} FROM records
    WHERE tab = :tab AND due > 0 AND max(due, held) <= :now AND {_LIVE}
    ORDER BY max(due, held), key LIMIT :limit"""
_HOLD = "UPDATE records SET fence = :fence, held = :until WHERE rowid = :rowid"
_NEXT_FENCE = "UPDATE fences SET last = last + 1 RETURNING last"
_RELEASE = """
    UPDATE records SET due = :due, version = version + 1, fence = 0, held = 0
    WHERE tab = :tab AND key = :key AND fence = :fence"""
_EXPIRED = """
    DELETE FROM records WHERE rowid IN
        (SELECT rowid FROM records WHERE expires > 0 AND expires <= :now LIMIT :limit)"""


def get(connection: Connection, now: float, table: str, key: str) -> Record | None:
    """Return one record that has not expired."""
    row = connection.execute(_GET, {"tab": table, "key": key, "now": now}).fetchone()
    return _record(row) if row else None


def put(connection: Connection, now: float, table: str, record: Record, fence: int | None) -> Record:
    """Compare the version (and the fence), then write."""
    place = {"tab": table, "key": record.key, "now": now}
    version, held_by = connection.execute(_STANDING, place).fetchone() or (0, 0)
    if version != record.version:
        raise Conflict(f"{table}/{record.key} is at version {version}, not {record.version}")
    if fence is not None and fence != (held_by or None):
        raise Conflict(f"{table}/{record.key} is no longer held by this claim")
    written = msgspec.structs.replace(record, version=version + 1)
    connection.execute(_UPDATE if version else _CREATE, {"tab": table, **msgspec.structs.asdict(written)})
    return written


def delete(connection: Connection, now: float, table: str, key: str) -> bool:
    """Remove one record."""
    return connection.execute(_DELETE, {"tab": table, "key": key, "now": now}).rowcount > 0


def list_owned(
    connection: Connection,
    now: float,
    table: str,
    owner: str,
    *,
    after: str | None,
    limit: int,
    newest_first: bool,
) -> Sequence[Record]:
    """Return one page of an owner's records."""
    page: dict[str, Any] = {"tab": table, "owner": owner, "now": now, "limit": limit}
    behind = ""
    if after is not None:
        cursor = get(connection, now, table, after)
        if cursor is None or cursor.owner != owner:
            return []
        behind = f'AND ("order", key) {"<" if newest_first else ">"} (:after_order, :after_key)'
        page |= {"after_order": cursor.order, "after_key": cursor.key}
    way = "DESC" if newest_first else "ASC"
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM records WHERE tab = :tab AND owner = :owner AND owner <> '' "
        f'AND {_LIVE} {behind} ORDER BY "order" {way}, key {way} LIMIT :limit',
        page,
    )
    return [_record(row) for row in rows]


def scan(connection: Connection, now: float, table: str) -> Sequence[Record]:
    """Return a whole table."""
    return [_record(row) for row in connection.execute(_SCAN, {"tab": table, "now": now})]


def claim_due(
    connection: Connection, now: float, table: str, *, limit: int, lease_seconds: float
) -> Sequence[Claim]:
    """Hold what is due; one fence serves the whole batch, for no number is given out twice."""
    rows = connection.execute(_DUE, {"tab": table, "now": now, "limit": limit}).fetchall()
    if not rows:
        return []
    (fence,) = connection.execute(_NEXT_FENCE).fetchone()
    until = now + lease_seconds
    connection.executemany(_HOLD, [{"rowid": row[0], "fence": fence, "until": until} for row in rows])
    return [Claim(_record(row[1:]), fence, until) for row in rows]


def release(connection: Connection, _now: float, table: str, key: str, fence: int, *, due: float) -> None:
    """Give a claimed record back."""
    connection.execute(_RELEASE, {"tab": table, "key": key, "fence": fence, "due": due})


def sweep(connection: Connection, now: float) -> int:
    """Delete a few expired rows and return how many: no write waits for a long clean-up."""
    return connection.execute(_EXPIRED, {"now": now, "limit": _SWEEP}).rowcount


def probe(connection: Connection, _now: float) -> None:
    """Write something harmless."""
    connection.execute(_NEXT_FENCE).fetchone()


def _record(row: Sequence[Any]) -> Record:
    return Record(**dict(zip(_FIELDS, row, strict=True)))
