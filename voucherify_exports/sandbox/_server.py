"""The sandbox itself: a server on loopback, and what a test does to it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Self

from aiohttp import web
from attrs import evolve

from ._answers import TOO_MANY, Answer, json_answer
from ._api import Api
from ._draws import Draws
from ._faults import Fault, Faults
from ._http import received, send, send_broken
from ._objects import FIELDS, is_field
from ._quota import Quota

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ._exports import Export, Outcome, Seconds
    from ._faults import Edit, Reset
    from ._requests import SandboxRequest

_TURNS_TO_ACCEPT = 3  # of the event loop, until an accepted connection shows


class Sandbox:
    """The exports API on loopback, for as long as `async with` lasts.

    An export is SCHEDULED for `scheduled_for` seconds, then IN_PROGRESS for `in_progress_for` seconds: a
    number, or a range from which each export draws its own. `rate_limit=(100, 60)` allows 100 requests per
    window of 60 seconds; downloads do not count. A download URL is good for `token_ttl` seconds after the
    answer that held it. `clock` tells the time in epoch seconds: with one of its own, a test moves time
    instead of waiting.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        app_id: str | None = None,
        app_token: str | None = None,
        seed: int = 0,
        scheduled_for: Seconds = 0.2,
        in_progress_for: Seconds = 0.5,
        rate_limit: tuple[int, float] | None = None,
        token_ttl: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        draws = Draws(f"{seed}/keys")
        self._host, self._port, self._clock = host, port, clock
        self._quota = Quota(*rate_limit) if rate_limit else None
        self._faults = Faults()
        self._api = Api(
            app_id=draws.key() if app_id is None else app_id,
            app_token=draws.key() if app_token is None else app_token,
            seed=seed,
            scheduled_for=scheduled_for,
            in_progress_for=in_progress_for,
            token_ttl=token_ttl,
        )
        self.requests: list[SandboxRequest] = []

    @property
    def url(self) -> str:
        """The base URL, known once the sandbox runs."""
        if not self._api.download_url:
            msg = "the sandbox has no URL before it runs: enter it with 'async with'"
            raise RuntimeError(msg)
        return self._api.download_url

    @property
    def app_id(self) -> str:
        """What `X-App-Id` must say."""
        return self._api.app_id

    @property
    def app_token(self) -> str:
        """What `X-App-Token` must say."""
        return self._api.app_token

    async def __aenter__(self) -> Self:
        self._server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._server, self._host, self._port, backlog=1024)
        host, port = self._listener.sockets[0].getsockname()[:2]
        self._api.download_url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        loop = asyncio.get_running_loop()
        # Not yet closed: asyncio cannot finish accepting a connection for a listener that is.
        with suppress(NotImplementedError):
            for listening in self._listener.sockets:
                loop.remove_reader(listening.fileno())
        turns = 0
        while turns < _TURNS_TO_ACCEPT or self._server.connections:
            for connection in self._server.connections:
                if connection.transport is not None:
                    connection.transport.abort()
            await asyncio.sleep(0)
            turns += 1
        self._listener.close()

    def add_export(
        self,
        exported_object: str,
        *,
        rows: int = 100,
        fields: Sequence[str] | None = None,
        outcome: Outcome = "DONE",
        created_at: float | datetime | None = None,
        id: str | None = None,
    ) -> str:
        """Add an export whose file has so many rows, and return its id.

        `created_at` is an aware datetime or in epoch seconds, now when it is None; the status follows from
        it. Raises ValueError for an unknown object, field or outcome, for less than no rows, for a naive
        datetime, and for an id that exists.
        """
        if exported_object not in FIELDS:
            msg = f"exported_object is one of {', '.join(FIELDS)}, not {exported_object!r}"
            raise ValueError(msg)
        unknown = [name for name in fields or () if not is_field(exported_object, name)]
        if unknown:
            msg = f"a {exported_object} has no field {unknown[0]!r}"
            raise ValueError(msg)
        return self._api.add(
            exported_object,
            parameters={} if fields is None else {"fields": list(fields)},
            fields=tuple(fields or ()),
            created_at=self._clock() if created_at is None else _epoch(created_at),
            export_id=id,
            rows=rows,
            outcome=outcome,
        ).id

    def delete_export(self, export_id: str) -> None:
        """Delete an export as somebody else would; raises KeyError when there is none."""
        self._api.exports.remove(self._existing(export_id))

    def finish(self, export_id: str, outcome: Outcome = "DONE") -> None:
        """End an export now, whatever the clock says; raises KeyError when there is none."""
        self._existing(export_id).finish(outcome)

    def fail(
        self,
        *,
        method: str | None = None,
        path: str | None = None,
        export_id: str | None = None,
        download: bool | None = None,
        times: int | None = 1,
        status: int | None = None,
        body: object = None,
        headers: Mapping[str, str | None] | None = None,
        content_type: str | None = None,
        delay: float | None = None,
        reset: Reset | None = None,
        edit: Edit | None = None,
    ) -> None:
        """Spoil the answers to the next `times` requests that match, to all of them when it is None.

        `path` is exact, may hold `*`, or is a prefix that ends with `/`; `download` True means files alone,
        False the API alone. `status` and `body` replace the answer and its effect; headers of None are left
        out; `edit` is given the JSON object of a successful answer and returns what is sent; `delay` is in
        seconds, `math.inf` for ever; `reset` breaks the connection when the request has had its effect.
        """
        self._faults.add(
            Fault(
                method=method,
                path=path,
                export_id=export_id,
                download=download,
                times=times,
                status=status,
                body=body,
                headers=headers,
                content_type=content_type,
                delay=delay,
                reset=reset,
                edit=edit,
            )
        )

    def _existing(self, export_id: str) -> Export:
        export = self._api.exports.find(export_id)
        if export is None:
            raise KeyError(export_id)
        return export

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        request = await received(http, self._clock())
        fault = self._faults.take(request)
        answer = self._decide(request, fault)
        self.requests.append(evolve(request, status=None if fault.is_silent else answer.status))
        if fault.delay is not None:
            await asyncio.sleep(fault.delay)
        if fault.reset is not None:
            return await send_broken(http, answer, fault.reset)
        return await send(http, answer)

    def _decide(self, request: SandboxRequest, fault: Fault) -> Answer:
        limits = None if request.is_download else self._quota
        refused = limits is not None and not fault.is_silent and not limits.spend(request.at)
        answer = fault.replacement()
        if answer is not None:
            refused = False
        elif refused:
            answer = json_answer(TOO_MANY, 429)
        else:
            answer = self._api.answer(request)
        headers = {"Date": formatdate(request.at, usegmt=True), **answer.headers}
        if limits is not None:
            headers |= limits.headers(request.at, refused=refused)
        return fault.spoil(evolve(answer, headers=headers))


def _epoch(moment: float | datetime) -> float:
    if not isinstance(moment, datetime):
        return moment
    if moment.tzinfo is None:
        msg = "created_at is a datetime without a time zone"
        raise ValueError(msg)
    return moment.timestamp()
