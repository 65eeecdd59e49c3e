"""Which piece of a list a caller asked for."""

from collections.abc import Mapping

import msgspec

from gateway.generation.errors import InvalidRequest

__all__ = ["PageQuery", "read_page_query"]

_DEFAULT_LIMIT = 20
_MAX_LIMIT = 100


class PageQuery(msgspec.Struct, frozen=True):
    """The items behind `after`, at most `limit` of them."""

    after: str | None = None
    limit: int = _DEFAULT_LIMIT
    newest_first: bool = True


def read_page_query(query: Mapping[str, str]) -> PageQuery:
    """Read `after`, `limit` (1 to 100, larger is cut) and `order` (asc or desc).

    Raises:
        InvalidRequest: one of them is no such value.
    """
    limit = query.get("limit", str(_DEFAULT_LIMIT))
    if not limit.isascii() or not limit.isdigit() or not int(limit[:9]) >= 1:
        raise InvalidRequest("limit must be a number from 1 to 100", param="limit")
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidRequest("order must be asc or desc", param="order")
    return PageQuery(query.get("after") or None, min(int(limit[:9]), _MAX_LIMIT), order == "desc")
