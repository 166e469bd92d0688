"""The only I/O with the API: session, credentials, quota, retries, timeouts and events."""

import asyncio
import json
import math
import random
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TypeVar, cast
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from .._ground.redact import Redactor
from .._version import __version__
from ..auth import OAuth, RenewableAuth
from ..errors import (
    AuthenticationError,
    ClientClosedError,
    ExportNotFoundError,
    InvalidResponseError,
    RateLimitedError,
    VoucherifyExportsError,
)
from ..events import QuotaExhausted, RequestCompleted, RequestFailed, RetryScheduled, is_wanted
from .calls import LONGEST_REASON, LOOK_FOR_IT, Call, is_unsent, message_of, transport_error
from .owner import Owner
from .quota import PATIENCE, Quota, spent_error
from .settings import Settings
from .tokens import Renewal, ReplaceableCredentials, Tokens
from .wire import (
    MAX_BODY,
    AccessToken,
    Allowance,
    Response,
    allowance_from,
    error_from,
    invalid,
    moment,
    rate_limit_from,
    retry_delay,
    token_from,
)

# `request_timeout` bounds the whole request.
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)
_SPREAD = 1.0  # seconds
_READ_AHEAD = 256 * 1024  # bytes of a file
_FORM = "application/x-www-form-urlencoded"

_Received = TypeVar("_Received")


class Transport:
    """Sends the requests of one client.

    Everything that awaits the network or the clock does so within a timeout of `_timeouts`, so that `close`
    can end it. `redact` hides all the secrets that the client has had so far.
    """

    def __init__(self, settings: Settings, quota: Quota) -> None:
        self._settings = settings
        self._root = str(settings.url)
        self._auth = settings.credentials
        self._clock = settings.clock
        self._emit = settings.on_event
        self._quota = quota
        self._session = settings.session
        self._slots = asyncio.Semaphore(settings.max_connections)
        # Direct calls, many or slow, never keep the watcher from polling.
        self._poll_slots = asyncio.Semaphore(settings.max_connections)
        self._timeouts = _Timeouts(settings.request_timeout)
        self._owner = Owner()
        self._closed = False
        self._tokens: Tokens | None = None
        self._replaceable: ReplaceableCredentials | None = None
        if isinstance(self._auth, OAuth):
            self._replaceable = self._tokens = Tokens(self._auth, self._fetch_token, self._clock)
        elif isinstance(self._auth, RenewableAuth):
            self._replaceable = Renewal(self._auth, partial(self._renew, self._auth))
        self.redact = Redactor(self._auth.secrets())

    async def _renew(self, auth: RenewableAuth) -> None:
        with self._timeouts.start(is_bounded=True):
            await auth.renew()
        self.redact = self.redact.renewed(auth.secrets())

    def request(self, method: str, path: str, query: str = "") -> Awaitable[Response]:
        """Send a request on behalf of a caller: retried, and delayed while the quota is spent."""
        return self._call(Call(method, path, query))

    async def create(self, path: str, payload: object) -> Response:
        """POST what creates an export: retried only when it certainly did not arrive."""
        body = json.dumps(payload, allow_nan=False).encode()
        return await self._call(Call("POST", path, "", body, "application/json", creates=True))

    async def _call(self, call: Call) -> Response:
        self.check_open()
        started = self._clock.monotonic()
        give_up = started + self._settings.max_quota_wait
        retry, attempt, may_have_arrived = self._settings.retry, 0, False
        while True:
            attempt += 1
            try:
                return await self._send_in_quota(call, attempt, give_up)
            except ExportNotFoundError:
                if call.method == "DELETE" and may_have_arrived:
                    # An earlier attempt deleted it.
                    return Response(str(call), 204, {}, b"", self._clock.wall())
                raise
            except VoucherifyExportsError as error:
                if attempt >= retry.attempts or not call.may_repeat(error):
                    raise
                may_have_arrived = may_have_arrived or call.may_have_arrived(error)
                delay = retry.delay(attempt, error, self._clock.monotonic() - started)
                scheduled = RetryScheduled(
                    method=call.method, path=call.path, attempt=attempt, delay=delay, error=str(error)
                )
            self._emit(scheduled)
            await self.pause(delay)

    async def poll(self, path: str, query: str = "") -> Response:
        """Send a GET once, or raise at once while a response forbids it: the watcher decides what follows.

        The watcher knows when to send in a pause that no response named.
        """
        call = Call("GET", path, query)
        async with _Slot(self._poll_slots):
            now = self._clock.monotonic()
            delay = self._quota.named_opening(now) - now
            if delay > 0:
                raise spent_error(str(call), delay, self._clock.wall())
            return await self._send(call, 1)

    async def open(self, url: URL, headers: Mapping[str, str], attempt: int) -> aiohttp.ClientResponse:
        """GET a file from any host; redirects are not followed, and the caller closes the response.

        The download as a whole has no timeout, but the wait for each chunk of it has.
        """
        self.check_open()
        seconds = self._settings.request_timeout
        opening = self._open_session().get(
            url,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=seconds, sock_read=seconds),
            allow_redirects=False,
            raise_for_status=False,
            auto_decompress=False,
            read_bufsize=_READ_AHEAD,
        )
        return await self._receive(opening, url, attempt)

    async def read(self, response: aiohttp.ClientResponse, attempt: int) -> bytes:
        """The next chunk of a file, empty at its end."""
        self.check_open()
        return await self._receive(response.content.readany(), response.url, attempt)

    async def _receive(self, awaited: Awaitable[_Received], url: URL, attempt: int) -> _Received:
        try:
            with self._timeouts.start():
                return await awaited
        except (aiohttp.ClientError, OSError) as failure:
            self.check_open()
            call = Call("GET", str(url.with_query(None)))
            seconds = self._settings.request_timeout
            error = transport_error(call, failure, attempt, seconds, self.redact)
            raise error from self._showable(failure)

    def start_closing(self) -> None:
        """Refuse new calls; raises `RuntimeError` in another event loop or process."""
        self._owner.check()
        self._closed = True

    async def close(self) -> None:
        """End every request under way with `ClientClosedError`, and close the session if it is ours."""
        self.start_closing()
        try:
            await self._timeouts.end_all()
            await self._revoke()
        finally:
            self._timeouts.stop()
            if self._settings.session is None and self._session is not None:
                await self._session.close()
            self._owner.release()

    async def _revoke(self) -> None:
        """Revoke the token if that is wanted; one that cannot be revoked expires by itself."""
        token = self._tokens.take_for_revocation() if self._tokens else None
        if token is None or self._session is None or self._session.closed:
            return
        call = Call("POST", "/v1/oauth/token/revoke", "", urlencode({"access_token": token}).encode(), _FORM)
        with suppress(aiohttp.ClientError, OSError, InvalidResponseError):
            await self._exchange(self._session, self._auth.headers(), call)

    async def pause(self, seconds: float) -> None:
        """Sleep, or raise `ClientClosedError` if the client is closed meanwhile."""
        self.check_open()
        try:
            with self._timeouts.start():
                await self._clock.sleep(seconds)
        except TimeoutError:
            raise ClientClosedError from None

    def check_open(self) -> None:
        """Raise unless the client is open, and this is its event loop and its process."""
        if self._closed:
            raise ClientClosedError
        self._owner.check()
        if self._session is not None and self._session.closed:
            raise ClientClosedError("The aiohttp session that was given to this client is closed")

    async def _send_in_quota(self, call: Call, attempt: int, give_up: float) -> Response:
        """Send once, or again after a 429 that names a time; waiting for quota is not an attempt."""
        async with self._slots:
            while True:
                if self._delay() > 0:
                    await self._wait_for_quota(str(call), give_up)
                self._quota.sent()
                try:
                    return await self._send(call, attempt)
                except RateLimitedError as error:
                    if error.retry_at is None or self._clock.monotonic() + self._delay() > give_up:
                        raise
                finally:
                    self._quota.ended()

    async def _wait_for_quota(self, request: str, give_up: float) -> None:
        while (delay := self._delay()) > 0:
            if self._clock.monotonic() + delay > give_up:
                raise self._spent(request)
            # Calls that wait together are not all sent at the same instant.
            await self.pause(delay + random.uniform(0, _SPREAD))  # noqa: S311 - guards nothing

    def _delay(self) -> float:
        """Seconds until anything may be sent."""
        now = self._clock.monotonic()
        return self._quota.opens_at(now) - now

    def _spent(self, request: str) -> RateLimitedError:
        return spent_error(request, self._delay(), self._clock.wall())

    async def credentials(self, attempt: int = 1) -> Mapping[str, str]:
        """The headers that authenticate a request; with OAuth, this fetches a token where none is valid."""
        return self._auth.headers() if self._tokens is None else await self._tokens.headers(attempt)

    def _send(self, call: Call, attempt: int) -> Awaitable[Response]:
        if self._replaceable is None:
            return self._send_with(self._auth.headers(), call, attempt)
        return self._send_replacing(self._replaceable, call, attempt)

    async def _send_replacing(
        self, replaceable: ReplaceableCredentials, call: Call, attempt: int
    ) -> Response:
        call.is_sent = False
        generation = replaceable.generation
        credentials = await replaceable.headers(attempt)
        try:
            return await self._send_with(credentials, call, attempt)
        except AuthenticationError:
            call.is_sent = False  # a 401 took no effect
        try:
            replaced = await replaceable.replace(credentials, generation, attempt)
        except AuthenticationError:
            self.check_open()  # `close` ends a renewal
            raise
        return await self._send_with(replaced, call, attempt)

    async def _fetch_token(self, form: bytes, attempt: int) -> AccessToken:
        call = Call("POST", "/v1/oauth/token", "", form, _FORM)
        token = token_from(await self._send_with(self._auth.headers(), call, attempt), self.redact)
        self.redact = self.redact.hiding(token.token)
        return token

    async def _send_with(self, credentials: Mapping[str, str], call: Call, attempt: int) -> Response:
        self.check_open()
        started = self._clock.monotonic()
        call.is_sent = True
        try:
            response = await self._exchange(self._open_session(), credentials, call)
        except (aiohttp.ClientError, OSError) as failure:
            if isinstance(failure, TimeoutError):
                self.check_open()  # `close` ends it in the same way
            call.is_sent = not is_unsent(failure)
            elapsed = self._clock.monotonic() - started
            seconds = self._settings.request_timeout
            error = transport_error(call, failure, attempt, seconds, self.redact)
            self._emit(
                RequestFailed(
                    method=call.method, path=call.path, attempt=attempt, elapsed=elapsed, error=str(error)
                )
            )
            raise error from self._showable(failure)
        allowance = allowance_from(response)
        self._update_quota(response, allowance)
        if is_wanted(RequestCompleted, self._emit):
            self._emit(
                RequestCompleted(
                    method=call.method,
                    path=call.path,
                    status=response.status,
                    attempt=attempt,
                    elapsed=self._clock.monotonic() - started,
                    rate_limit=rate_limit_from(response, allowance),
                )
            )
        if not 200 <= response.status <= 299:
            raise error_from(response, self.redact, LOOK_FOR_IT if call.creates else "")
        return response

    def _showable(self, failure: Exception) -> Exception | None:
        """The failure as a cause, unless it quotes a secret or a response, which a traceback would show."""
        text = message_of(failure)
        is_plain = "\n" not in text and len(text) <= LONGEST_REASON
        return failure if is_plain and self.redact(str(failure)) == str(failure) else None

    def _update_quota(self, response: Response, allowance: Allowance) -> None:
        now = self._clock.monotonic()
        self._quota.answered(now, *allowance)
        if response.status == 429:
            self._quota.refused(now, retry_delay(response))
            delay = self._delay()
            self._emit(QuotaExhausted(delay=delay, retry_at=moment(self._clock.wall() + delay)))
        else:
            self._quota.accepted()

    async def _exchange(
        self, session: aiohttp.ClientSession, credentials: Mapping[str, str], call: Call
    ) -> Response:
        headers = credentials
        if call.content_type is not None:
            headers = {**credentials, "Content-Type": call.content_type}
        with self._timeouts.start(is_bounded=True):
            response = await session.request(
                call.method,
                URL(f"{self._root}{call.path}{call.query}", encoded=True),
                data=call.body,
                headers=headers,
                timeout=_NO_TIMEOUT,
                allow_redirects=False,
                raise_for_status=False,
            )
            body = await _read(response)
        received = Response(str(call), response.status, response.headers, body, self._clock.wall())
        if len(body) > MAX_BODY:
            raise invalid(received, f"the body has more than {MAX_BODY} bytes", self.redact)
        return received

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"voucherify-exports/{__version__} {aiohttp.http.SERVER_SOFTWARE}"},
            )
        return self._session


class _Slot:
    """One of the slots of polls, which is given back early by a poll that has no response for long."""

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots = slots

    async def __aenter__(self) -> None:
        await self._slots.acquire()
        self._timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(
            PATIENCE, self._give_back
        )

    async def __aexit__(self, *_error: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._give_back()

    def _give_back(self) -> None:
        self._timer = None
        self._slots.release()


class _Timeouts:
    """The timeouts under way of one client; those with a bound all have the same one, `seconds`.

    One timer serves them all: a timer for each request would cost it 4 % more CPU time.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._entered: set[_Timeout] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._drained = asyncio.Event()

    def start(self, *, is_bounded: bool = False) -> "_Timeout":
        """A timeout, which the caller enters before it awaits anything."""
        end = math.inf
        if is_bounded:
            loop = asyncio.get_running_loop()
            end = loop.time() + self._seconds
            if self._timer is None:
                self._timer = loop.call_at(end, self._end_overdue)
        return _Timeout(self, end)

    def enter(self, timeout: "_Timeout") -> None:
        self._entered.add(timeout)

    def leave(self, timeout: "_Timeout") -> None:
        self._entered.remove(timeout)
        if not self._entered:
            self._drained.set()

    def _end_overdue(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._expire(until=now)
        later = [timeout.end for timeout in self._entered if now < timeout.end < math.inf]
        self._timer = loop.call_at(min(later), self._end_overdue) if later else None

    def _expire(self, until: float) -> None:
        for timeout in self._entered:
            if timeout.end <= until:
                timeout.expire()

    async def end_all(self) -> None:
        """End every timeout, and wait until its caller has left it."""
        self._expire(until=math.inf)
        if self._entered:
            self._drained.clear()
            await self._drained.wait()

    def stop(self) -> None:
        """Cancel the timer, unless it bounds the last request of another `close`."""
        if self._timer is not None and not self._entered:
            self._timer.cancel()
            self._timer = None


class _Timeout:
    """A timeout like `asyncio.timeout`, whose two coroutines would cost each request 2 % more CPU time.

    `end` is in the time of the loop.
    """

    __slots__ = ("_cancelling", "_expiring", "_is_expired", "_task", "_timeouts", "end")

    def __init__(self, timeouts: _Timeouts, end: float) -> None:
        self._timeouts = timeouts
        self._expiring: asyncio.Handle | None = None
        self._is_expired = False
        self.end = end

    def __enter__(self) -> None:
        self._task = cast("asyncio.Task[object]", asyncio.current_task())
        self._cancelling = self._task.cancelling()
        self._timeouts.enter(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timeouts.leave(self)
        if self._expiring is not None:
            self._expiring.cancel()
        # A cancellation by somebody else leaves more requests to cancel than there were at the start.
        if self._is_expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """Cancel what is awaited, which raises `TimeoutError`; only once.

        As in asyncio, this happens in the next step of the loop: a request that was just started is sent.
        """
        if self._expiring is None:
            self._expiring = asyncio.get_running_loop().call_soon(self._cancel)

    def _cancel(self) -> None:
        self._is_expired = True
        self._task.cancel()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, or as much of it as shows that it is too large; the response is released."""
    if response.content.is_eof():  # mostly it came with the head, and the connection is free already
        return response.content.read_nowait()
    body = bytearray()
    async with response:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MAX_BODY:
                break
    return bytes(body)
