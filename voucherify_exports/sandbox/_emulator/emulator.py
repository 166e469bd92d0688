"""The emulator without sockets: what a test does to it, and how it responds to a request."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import formatdate
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeAlias

from attrs import evolve

from .._data.objects import FIELDS, is_field
from .._data.rows import Row
from .._http.answers import TOO_MANY, Answer, json_answer
from .._http.faults import Fault
from .._http.injection import edited, lagged, prevents_response, replacement, serving
from .state import state

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .._http.injection import PendingFaults
    from .._http.requests import SandboxRequest
    from .._http.result_files import Serving
    from .api import EmulatedApi
    from .export_store import Outcome, StoredExport
    from .rate_limit import RateLimitWindow


_P = ParamSpec("_P")
_Method: TypeAlias = "Callable[[Emulator, Fault], None]"


def _with_parameters_of(
    make: Callable[_P, Fault],
) -> Callable[[_Method], Callable[Concatenate[Emulator, _P], None]]:
    """Give a method the parameters of a class: for calls, for type checkers and for `inspect`."""

    def decorate(method: _Method) -> Callable[Concatenate[Emulator, _P], None]:
        @wraps(method)
        def with_parameters(self: Emulator, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
            method(self, make(*args, **kwargs))

        self_parameter = Parameter("self", Parameter.POSITIONAL_ONLY)
        parameters = signature(make).parameters.values()
        vars(with_parameters)["__signature__"] = Signature(
            [self_parameter, *parameters], return_annotation="None"
        )
        return with_parameters

    return decorate


class Emulator:
    """The exports API with the faults, the rate limit and the recorded requests around it.

    The control API drives it; `Sandbox` adds the listeners.
    """

    def __init__(
        self,
        api: EmulatedApi,
        *,
        quota: RateLimitWindow | None,
        faults: PendingFaults,
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
        """The base URL; raises RuntimeError before the sandbox runs."""
        return _running(self._url)

    @property
    def download_url(self) -> str:
        """The base URL of the files: that of the API, or of the `download_host`."""
        return _running(self._api.download_url)

    @property
    def app_id(self) -> str:
        """The application id, for `X-App-Id`."""
        return self._api.app_id

    @property
    def app_token(self) -> str:
        """The application token, for `X-App-Token`."""
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
        """Add an export whose file has `rows` rows, and return its id.

        `created_at` is an aware datetime or in epoch seconds, and now when it is None; the status follows
        from it. Raises ValueError for an unknown object, field or outcome, for a negative number of rows, for
        a naive datetime, and for an id that exists already or cannot be part of a path.
        """
        if exported_object not in FIELDS:
            msg = f"exported_object must be one of {', '.join(FIELDS)}, not {exported_object!r}"
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
        """Return the value of a column in a row of an object, such as a voucher's `code`.

        Rows are counted from 0, in the order of a file of an export without an `order`.
        """
        return Row(self._api.world, exported_object, row)[column]

    def delete_export(self, export_id: str) -> None:
        """Delete an export without a request; raises KeyError when it does not exist."""
        self._api.exports.remove(self._existing(export_id))

    def finish(self, export_id: str, outcome: Outcome = "DONE") -> None:
        """Finish an export now, before its time; raises KeyError when it does not exist."""
        self._existing(export_id).finish(outcome, self._clock())

    def add_fault(self, fault: Fault) -> None:
        """Inject a fault, such as one from `Fault.from_json`."""
        self._faults.add(fault)

    @_with_parameters_of(Fault)
    def fail(self, fault: Fault) -> None:
        """Inject a fault into the responses to the next requests that match; see `Fault` for its options.

        Raises ValueError, which names the option, for an invalid value.
        """
        self.add_fault(fault)

    def clear(self, *, exports: bool = False, faults: bool = False, requests: bool = False) -> None:
        """Delete all exports, remove all pending faults, or forget the recorded requests."""
        if exports:
            self._api.exports.clear()
        if faults:
            self._faults.clear()
        if requests:
            self.requests.clear()

    def state(self) -> dict[str, object]:
        """Return the current state, as JSON can hold it; times are in epoch seconds."""
        return state(self._clock(), self._api, self._quota, self._faults, self.requests) | {
            "url": self.url,
            "download_url": self.download_url,
        }

    def _existing(self, export_id: str) -> StoredExport:
        export = self._api.exports.find(export_id)
        if export is None:
            raise KeyError(export_id)
        return export

    async def _respond(self, request: SandboxRequest) -> tuple[Answer, Fault]:
        """Carry out a request, and return its answer and the fault that applies to it."""
        fault = self._faults.take(request)
        answer = await self._decide(request, fault)
        self.requests.append(
            evolve(
                request,
                status=None if prevents_response(fault) else answer.status,
                quota_left=None if self._quota is None else self._quota.left(request.at),
            )
        )
        return answer, fault

    async def _decide(self, request: SandboxRequest, fault: Fault) -> Answer:
        limits = None if request.is_download else self._quota
        refused = limits is not None and not prevents_response(fault) and not limits.spend(request.at)
        answer = replacement(fault, request)
        if answer is not None:
            refused = False
        elif refused:
            answer = json_answer(TOO_MANY, 429)
        else:
            answer = await self._api.answer(lagged(fault, request), serving(fault, self._serving))
        headers = {"Date": formatdate(request.at, usegmt=True), **answer.headers}
        if limits is not None:
            headers |= limits.headers(request.at, refused=refused)
        return edited(fault, evolve(answer, headers=headers))


def _running(url: str) -> str:
    if not url:
        msg = "the sandbox has no URL before it runs: enter it with 'async with'"
        raise RuntimeError(msg)
    return url


def _epoch(moment: float | datetime) -> float:
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            msg = "created_at must be a datetime with a time zone"
            raise ValueError(msg)
        return moment.timestamp()
    try:
        return datetime.fromtimestamp(moment, UTC).timestamp()
    except (OverflowError, OSError, ValueError):
        msg = f"created_at must be in epoch seconds, not {moment}"
        raise ValueError(msg) from None
