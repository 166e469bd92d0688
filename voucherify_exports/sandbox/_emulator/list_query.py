"""Checks of the query of a list; what Voucherify refuses is refused with its documented error."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from .._http.answers import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

ORDERS = ("created_at", "-created_at", "status", "-status")


@frozen
class ListQuery:
    """The page that a list request names."""

    order: str
    page: int
    limit: int


def list_query(query: Mapping[str, str]) -> ListQuery:
    """Return the query of a list, checked; raises RefusedError."""
    order = query.get("order", "-created_at")
    if order not in ORDERS:
        raise _invalid_query(f"order should be one of [ {', '.join(ORDERS)} ]")
    return ListQuery(order, _up_to_100(query, "page", "1"), _up_to_100(query, "limit", "10"))


def _up_to_100(query: Mapping[str, str], name: str, default: str) -> int:
    text = query.get(name, default)
    if not re.fullmatch("0*([1-9][0-9]?|100)", text):
        raise _invalid_query(f"{name} should be an integer from 1 to 100")
    return int(text)


def _invalid_query(details: str) -> RefusedError:
    return RefusedError(400, "invalid_query_params", "Invalid query params", details)
