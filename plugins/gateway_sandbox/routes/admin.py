"""The back door for tests, on loopback only: script faults, set quotas, read the journal."""

from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromQuery

from ..accounts import user_id
from ..calls import decode
from ..faults import Fault
from ..records import Task
from ..sandbox import Sandbox
from .answers import flat

__all__ = ["ADMIN"]


class _Quota(msgspec.Struct, forbid_unknown_fields=True):
    token: str
    chat_type: str
    per_day: int


@get("/__sandbox__/faults")
async def list_faults(sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
    """Return the faults still to come."""
    return flat(sandbox.faults.pending())


@post("/__sandbox__/faults", status_code=200)
async def add_fault(request: Request[Any, Any, Any], sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
    """Add a fault to the script."""
    sandbox.faults.add(decode(await request.body(), Fault))
    return flat(sandbox.faults.pending())


@delete("/__sandbox__/faults", status_code=200)
async def clear_faults(sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
    """Forget the script."""
    sandbox.faults.clear()
    return flat([])


@put("/__sandbox__/quotas", status_code=200)
async def set_quota(request: Request[Any, Any, Any], sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
    """Set the accepted calls per UTC day of one account and chat type."""
    quota = decode(await request.body(), _Quota)
    sandbox.account_quotas[user_id(quota.token), quota.chat_type] = quota.per_day
    return flat(quota)


@get("/__sandbox__/journal")
async def read_journal(
    sandbox: NamedDependency[Sandbox], after: FromQuery[int] = 0, limit: FromQuery[int] = 10_000
) -> Response[bytes]:
    """Return what was received, oldest first."""
    return flat(await sandbox.journal.read(after, limit))


@get("/__sandbox__/counters")
async def read_counters(sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
    """Return the journal in numbers."""
    return flat(await sandbox.journal.counters())


@get("/__sandbox__/tasks")
async def list_tasks(sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
    """Every task that was ever accepted, of all accounts."""
    return flat(await sandbox.store.find(Task))


@post("/__sandbox__/reset", status_code=200)
async def reset(sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
    """Forget chats, tasks, files, media, journal, faults and quotas."""
    sandbox.faults.clear()
    sandbox.account_quotas.clear()
    await sandbox.store.clear()
    return flat({"ok": True})


ADMIN = [
    list_faults,
    add_fault,
    clear_faults,
    set_quota,
    read_journal,
    read_counters,
    list_tasks,
    reset,
]
