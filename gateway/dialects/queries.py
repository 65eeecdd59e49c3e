"""Query strings in: which page of a list, which form of a film."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec

from gateway.dialects.json_body import BodyReader
from gateway.generation.errors import InvalidRequest
from gateway.generation.views import TaskStatus

__all__ = ["MAX_PAGE", "ListQuery", "read_list_query", "require_film"]

MAX_PAGE: Final = 100
"""The longest page; who asks for more gets this many and is told that there is more."""


class ListQuery(msgspec.Struct, frozen=True):
    """Which page of a list: `after` is the last id of the page before, "" for the first page."""

    after: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 20
    order: Literal["asc", "desc"] = "desc"
    status: TaskStatus | None = None
    purpose: str = ""


_reader: Final = BodyReader(ListQuery)


def read_list_query(query: Mapping[str, str]) -> ListQuery:
    """Read a list's query; empty values are absent. Raises `InvalidRequest`."""
    wanted = _reader.convert({name: value for name, value in query.items() if value})
    return msgspec.structs.replace(wanted, limit=min(wanted.limit, MAX_PAGE))


def require_film(query: Mapping[str, str]) -> None:
    """Refuse every form of a video but the film itself; raises `InvalidRequest`."""
    if query.get("variant", "video") != "video":
        raise InvalidRequest("Only the variant 'video' exists", param="variant")
