"""The emulator without sockets: what a test does to it, and how it responds to a request."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING

from attrs import evolve

from .._data.objects import FIELDS, is_field
from .._data.rows import Row
from .._http.answers import TOO_MANY, Answer, json_answer
from .._http.faults import Fault, Faults
from .state import state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .._http.faults import Edit, Reset
    from .._http.files import Serving
    from .._http.requests import SandboxRequest
    from .api import Api
    from .exports import Export, Outcome
    from .rate_limit import Quota


class Emulator:
    """The API with everything around it, which the control API drives and `Sandbox` serves."""

    def __init__(
        self,
        api: Api,
        *,
        quota: Quota | None,
        faults: Faults,
        serving: Serving,
        clock: Callable[[], float],
    ) -> None:
        self._api = api
        self._quota = quota
        self._faults = faults
        self._serving = serving
        self._clock = clock
        self._url = ""
        self.requests: list[SandboxRequest] = []

    @property
    def url(self) -> str:
        """The base URL, known once the sandbox runs."""
        return _running(self._url)

    @property
    def download_url(self) -> str:
        """The base URL of the files: that of the API unless they have a host of their own."""
        return _running(self._api.download_url)

    @property
    def app_id(self) -> str:
        """What `X-App-Id` must be."""
        return self._api.app_id

    @property
    def app_token(self) -> str:
        """What `X-App-Token` must be."""
        return self._api.app_token

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
        datetime, and for an id that exists or that no path can hold.
        """
        if exported_object not in FIELDS:
            msg = f"exported_object is one of {', '.join(FIELDS)}, not {exported_object!r}"
            raise ValueError(msg)
        unknown = [name for name in fields or () if not is_field(exported_object, name)]
        if unknown:
            msg = f"a {exported_object} has no field {unknown[0]!r}"
            raise ValueError(msg)
        now = self._clock()
        return self._api.add(
            exported_object,
            parameters={} if fields is None else {"fields": list(fields)},
            created_at=now if created_at is None else _epoch(created_at),
            added_at=now,
            export_id=id,
            rows=rows,
            outcome=outcome,
        ).id

    def cell(self, exported_object: str, column: str, *, row: int = 0) -> str:
        """Return what stands in a row of every file of an object, such as a voucher's `code`.

        Rows are counted from 0, in the order of a file that asks for none.
        """
        return Row(self._api.world, exported_object, row)[column]

    def delete_export(self, export_id: str) -> None:
        """Delete an export as somebody else would; raises KeyError when there is none."""
        self._api.exports.remove(self._existing(export_id))

    def finish(self, export_id: str, outcome: Outcome = "DONE") -> None:
        """End an export now, whatever the clock says; raises KeyError when there is none."""
        self._existing(export_id).finish(outcome, self._clock())

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
        after: int | None = None,
        truncate: bool = False,
        garble: bool = False,
        pause: float | None = None,
        extra: bytes = b"",
        redirect: str | None = None,
        ranges: bool | None = None,
        gzip: bool | None = None,
        repeat_entry: int | None = None,
        drop_entry: int | None = None,
        lag: float = 0,
        probability: float = 1,
    ) -> None:
        """Spoil the answers to the next `times` requests that match, to all of them when it is None.

        With a `probability`, only each of them with that chance, which the seed decides. `path` is exact, may
        hold `*`, or is a prefix that ends with `/`; `download` True means files alone, False the API alone.

        `status` and `body` replace the answer and its effect; headers of None are left out; `edit` is given
        the JSON object of a successful answer and returns what is sent; `delay` is in seconds, `math.inf` for
        ever; `reset` breaks the connection when the request has had its effect. A list can lack an entry, or
        have it twice, by its place counted from 0; with `lag`, a GET is answered as it was so many seconds
        ago. `redirect` answers 302 to the same path and query at another base URL.

        A body can be spoilt after its first `after` bytes, or in its first block when that is None: by
        `reset="body"`; by `truncate`, the connection ends there as if all had been sent; by `garble`, every
        further byte is another one; by `pause`, so many seconds go by before each further block. `extra` is
        sent beyond the announced end. `ranges` and `gzip` stand in for the options of the sandbox: with
        `ranges=False` a request for a range is answered with the whole file.
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
                after=after,
                truncate=truncate,
                garble=garble,
                pause=pause,
                extra=extra,
                redirect=redirect,
                ranges=ranges,
                gzip=gzip,
                repeat_entry=repeat_entry,
                drop_entry=drop_entry,
                lag=lag,
                probability=probability,
            )
        )

    def clear(self, *, exports: bool = False, faults: bool = False, requests: bool = False) -> None:
        """Forget the exports, the faults that are still to come, or the requests that have arrived."""
        if exports:
            self._api.exports.clear()
        if faults:
            self._faults.clear()
        if requests:
            self.requests.clear()

    def state(self) -> dict[str, object]:
        """Return what there is now, as JSON can say it; times are in epoch seconds."""
        return state(self._clock(), self._api, self._quota, self._faults, self.requests) | {
            "url": self.url,
            "download_url": self.download_url,
        }

    def _existing(self, export_id: str) -> Export:
        export = self._api.exports.find(export_id)
        if export is None:
            raise KeyError(export_id)
        return export

    async def _respond(self, request: SandboxRequest) -> tuple[Answer, Fault]:
        """Carry a request out, and return its answer and the fault that applies to sending it."""
        fault = self._faults.take(request)
        answer = await self._decide(request, fault)
        self.requests.append(
            evolve(
                request,
                status=None if fault.is_silent else answer.status,
                quota_left=None if self._quota is None else self._quota.left(request.at),
            )
        )
        return answer, fault

    async def _decide(self, request: SandboxRequest, fault: Fault) -> Answer:
        limits = None if request.is_download else self._quota
        refused = limits is not None and not fault.is_silent and not limits.spend(request.at)
        answer = fault.replacement(request)
        if answer is not None:
            refused = False
        elif refused:
            answer = json_answer(TOO_MANY, 429)
        else:
            answer = await self._api.answer(fault.seen(request), fault.serving(self._serving))
        headers = {"Date": formatdate(request.at, usegmt=True), **answer.headers}
        if limits is not None:
            headers |= limits.headers(request.at, refused=refused)
        return fault.spoil(evolve(answer, headers=headers))


def _running(url: str) -> str:
    if not url:
        msg = "the sandbox has no URL before it runs: enter it with 'async with'"
        raise RuntimeError(msg)
    return url


def _epoch(moment: float | datetime) -> float:
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            msg = "created_at is a datetime without a time zone"
            raise ValueError(msg)
        return moment.timestamp()
    try:
        return datetime.fromtimestamp(moment, UTC).timestamp()
    except (OverflowError, OSError, ValueError):
        msg = f"created_at is in epoch seconds, not {moment}"
        raise ValueError(msg) from None
