"""The endpoints: the request that each one takes, and the model in its response."""

import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

from ..errors import CreateUncertainError, InvalidResponseError
from ..models import Export, ExportPage
from .calls import LOOK_FOR_IT
from .transport import Transport
from .wire import export_from, export_path, page_from

LAST_PAGE = 100
"""The list has pages 1 to 100, of at most 100 exports each (Voucherify API reference, "List exports")."""

_ORDERS = ("-created_at", "created_at", "-status", "status")
_logger = logging.getLogger("voucherify_exports")


class Endpoints:
    """Direct calls: each is one request on behalf of a caller, retried as its method allows."""

    def __init__(self, transport: Transport, on_created: Callable[[str], None]) -> None:
        self._transport = transport
        self._on_created = on_created

    async def get(self, export_id: str) -> Export:
        response = await self._transport.request("GET", export_path(export_id))
        return export_from(response, self._transport.redact, export_id)

    async def list_page(self, page: int, *, order: str, page_size: int) -> ExportPage:
        response = await self._transport.request("GET", "/v1/exports", _page_query(page, page_size, order))
        return page_from(response, self._transport.redact)

    async def create(self, path: str, payload: Mapping[str, object]) -> Export:
        response = await self._transport.create(path, payload)
        try:
            export = export_from(response, self._transport.redact)
        except InvalidResponseError as error:
            raise CreateUncertainError(f"{error}; {LOOK_FOR_IT}") from error
        self._on_created(export.id)
        return export

    async def delete(self, export_id: str) -> None:
        await self._transport.request("DELETE", export_path(export_id))


class ApiPoller:
    """The watcher's requests: each is sent once and never retried."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self, export_id: str) -> Export:
        response = await self._transport.poll(export_path(export_id))
        return export_from(response, self._transport.redact, export_id)

    async def list_page(self, page: int) -> ExportPage:
        response = await self._transport.poll("/v1/exports", _page_query(page, 100, "-created_at"))
        return page_from(response, self._transport.redact)


def _page_query(page: int, page_size: int, order: str) -> str:
    return f"?limit={page_size}&page={page}&order={order}"


async def each_export(
    list_page: Callable[[int], Awaitable[ExportPage]], page_size: int
) -> AsyncGenerator[Export]:
    """Each export of the list once, whatever others create or delete meanwhile."""
    yielded: set[str] = set()
    number, total = 1, 0
    rereads_left = LAST_PAGE  # a bound, since a total that goes up and down would never let this end
    while number <= LAST_PAGE:
        page = await list_page(number)
        deleted, total = total - page.total, page.total
        if deleted > 0 and number > 1 and rereads_left:
            # Deletions move later exports to pages that were read before: read those again.
            rereads_left -= 1
            number = max(1, number - math.ceil(deleted / page_size))
            continue
        for export in page.exports:
            if export.id not in yielded:
                yielded.add(export.id)
                yield export
        if not page.exports or (len(page.exports) < page_size and number * page_size >= total):
            return
        number += 1
    if total > LAST_PAGE * page_size:
        _logger.warning("The list contains only %d of %d exports", LAST_PAGE * page_size, total)


def check_list(page: int, order: str, page_size: int) -> None:
    """Raise `ValueError` for a page that the API does not have."""
    for name, value in (("page", page), ("page_size", page_size)):
        # True and 1.0 are equal to 1, but the query would not be.
        if isinstance(value, bool | float) or value not in range(1, LAST_PAGE + 1):
            raise ValueError(f"{name} must be from 1 to {LAST_PAGE}, not {value!r}")
    if order not in _ORDERS:
        raise ValueError(f"order must be one of {', '.join(_ORDERS)}, not {order!r}")
