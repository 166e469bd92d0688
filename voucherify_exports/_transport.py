"""The only I/O with the API: session, credentials, quota, retries and events."""

import asyncio
import itertools
import random

import aiohttp
from tenacity import RetryCallState
from yarl import URL

from ._clock import Clock
from ._quota import Quota, spent_error
from ._version import __version__
from ._wire import MAX_BODY, Answer, error_from, invalid, moment, rate_limit_from, reset_delay, retry_delay
from .auth import Auth
from .errors import (
    ApiError,
    ClientClosedError,
    RateLimitedError,
    TransportError,
    VoucherifyExportsError,
)
from .events import EventHook, QuotaExhausted, RequestCompleted, RequestFailed, RetryScheduled
from .models import RateLimit
from .polling import RetryPolicy

_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)  # ours bounds all of a request
_SPREAD = 1.0  # seconds
_TRANSIENT = {408, 500, 502, 503, 504}


def is_transient(error: BaseException) -> bool:
    """Whether the same request may well succeed a little later."""
    if isinstance(error, TransportError):
        return not isinstance(error.__cause__, aiohttp.ClientSSLError)
    if isinstance(error, RateLimitedError):
        return error.retry_at is None  # otherwise it is known that a little later is too soon
    return isinstance(error, ApiError) and error.status in _TRANSIENT


class Transport:
    """Sends the requests of one client."""

    def __init__(
        self,
        base_url: URL,
        auth: Auth,
        *,
        session: aiohttp.ClientSession | None,
        request_timeout: float,
        retry: RetryPolicy,
        quota: Quota,
        max_quota_wait: float,
        max_connections: int,
        clock: Clock,
        emit: EventHook,
    ) -> None:
        self._base_url = base_url
        self._auth = auth
        self.redact = auth.redactor()
        self._session = session
        self._owns_session = session is None
        self._request_timeout = request_timeout
        self._retry = retry
        self._quota = quota
        self._max_quota_wait = max_quota_wait
        self._max_connections = max_connections
        self._slots = asyncio.Semaphore(max_connections)
        self._clock = clock
        self._emit = emit
        self._closed = False
        self._scopes: set[asyncio.Timeout] = set()  # whatever is awaited, so that `close` can end it

    async def request(self, method: str, path: str) -> Answer:
        """Send a request on behalf of a caller: retried, and delayed while the quota is spent."""
        give_up = self._clock.monotonic() + self._max_quota_wait
        try:
            return await self._send_in_quota(method, path, 1, give_up)
        except VoucherifyExportsError as error:
            if not is_transient(error):
                raise
            return await self._retry_after(error, method, path, give_up)

    async def _retry_after(
        self, first: VoucherifyExportsError, method: str, path: str, give_up: float
    ) -> Answer:
        """Let tenacity go on after a first attempt; most calls never need its machinery."""
        attempts = itertools.count(1)

        async def attempt() -> Answer:
            number = next(attempts)
            if number == 1:
                raise first
            return await self._send_in_quota(method, path, number, give_up)

        def announce(state: RetryCallState) -> None:
            self._announce_retry(method, path, state)

        retrying = self._retry.retrying(when=is_transient, sleep=self._pause, before_sleep=announce)
        return await retrying(attempt)

    async def poll(self, path: str, query: str = "") -> Answer:
        """Send a GET once: a fault is for the poller to judge, and a closed gate is not waited for."""
        async with self._slots:
            if self._delay() > 0:
                raise self._spent(f"GET {path}")
            return await self._send("GET", path, 1, query)

    async def close(self) -> None:
        """End every request under way with `ClientClosedError`, and close the session if it is ours."""
        self._closed = True
        for scope in self._scopes:
            if not scope.expired():
                scope.reschedule(asyncio.get_running_loop().time())
        while self._scopes:  # noqa: ASYNC110 - each ends within a few steps of the loop
            await asyncio.sleep(0)
        if self._owns_session and self._session is not None:
            await self._session.close()

    async def _pause(self, seconds: float) -> None:
        self._check_open()
        scope = self._open_scope(None)
        try:
            async with scope:
                await self._clock.sleep(seconds)
        except TimeoutError:
            raise ClientClosedError from None
        finally:
            self._scopes.discard(scope)

    def _open_scope(self, seconds: float | None) -> asyncio.Timeout:
        """So many seconds, or until the client is closed; to be discarded from `_scopes` afterwards."""
        scope = asyncio.timeout(seconds)
        self._scopes.add(scope)
        return scope

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosedError
        if self._session is not None and self._session.closed:
            raise ClientClosedError("The aiohttp session that this client was given is closed")

    async def _send_in_quota(self, method: str, path: str, attempt: int, give_up: float) -> Answer:
        """Send once, or again after a refusal that names its end; waiting for quota is no attempt."""
        async with self._slots:
            while True:
                await self._wait_for_quota(f"{method} {path}", give_up)
                self._quota.sent()
                try:
                    return await self._send(method, path, attempt)
                except RateLimitedError as error:
                    if error.retry_at is None or self._clock.monotonic() + self._delay() > give_up:
                        raise
                finally:
                    self._quota.ended()

    async def _wait_for_quota(self, request: str, give_up: float) -> None:
        while (delay := self._delay()) > 0:
            if self._clock.monotonic() + delay > give_up:
                raise self._spent(request)
            # Those who wait together do not all go at the same instant.
            await self._pause(delay + random.uniform(0, _SPREAD))  # noqa: S311 - guards nothing

    def _delay(self) -> float:
        """Seconds until anything may be sent."""
        now = self._clock.monotonic()
        return self._quota.opens_at(now) - now

    def _spent(self, request: str) -> RateLimitedError:
        return spent_error(request, self._delay(), self._clock.wall())

    async def _send(self, method: str, path: str, attempt: int, query: str = "") -> Answer:
        started = self._clock.monotonic()
        try:
            answer = await self._exchange(method, path, query)
        except (aiohttp.ClientError, OSError) as fault:
            elapsed = self._clock.monotonic() - started
            error = self._transport_error(f"{method} {path}", fault, attempt)
            self._emit(
                RequestFailed(method=method, path=path, attempt=attempt, elapsed=elapsed, error=str(error))
            )
            # A cause that quotes a secret would show it in the traceback.
            raise error from (fault if self.redact(str(fault)) == str(fault) else None)
        rate_limit = self._keep_books(answer)
        elapsed = self._clock.monotonic() - started
        self._emit(
            RequestCompleted(
                method=method,
                path=path,
                status=answer.status,
                attempt=attempt,
                elapsed=elapsed,
                rate_limit=rate_limit,
            )
        )
        if not 200 <= answer.status <= 299:
            raise error_from(answer, self.redact)
        return answer

    def _keep_books(self, answer: Answer) -> RateLimit:
        now = self._clock.monotonic()
        reset_in = reset_delay(answer)
        rate_limit = rate_limit_from(answer, reset_in)
        self._quota.answered(now, rate_limit, reset_in)
        if answer.status == 429:
            self._quota.refused(now, retry_delay(answer))
            delay = self._delay()
            self._emit(QuotaExhausted(delay=delay, retry_at=moment(self._clock.wall() + delay)))
        else:
            self._quota.accepted()
        return rate_limit

    async def _exchange(self, method: str, path: str, query: str) -> Answer:
        self._check_open()
        scope = self._open_scope(self._request_timeout)
        try:
            async with (
                scope,
                self._open_session().request(
                    method,
                    URL(f"{self._base_url}{path}{query}", encoded=True),
                    headers=self._auth.headers(),
                    timeout=_NO_TIMEOUT,
                    allow_redirects=False,
                ) as response,
            ):
                body = await _read(response)
        except TimeoutError:
            self._check_open()
            raise
        finally:
            self._scopes.discard(scope)
        answer = Answer(f"{method} {path}", response.status, response.headers, body, self._clock.wall())
        if len(body) > MAX_BODY:
            raise invalid(answer, f"the body has more than {MAX_BODY} bytes", self.redact)
        return answer

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._max_connections),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"voucherify-exports/{__version__} {aiohttp.http.SERVER_SOFTWARE}"},
            )
        return self._session

    def _transport_error(self, request: str, fault: Exception, attempt: int) -> TransportError:
        if isinstance(fault, TimeoutError):
            reason = f"no answer within {self._request_timeout:g} s"
        elif isinstance(fault, aiohttp.ClientConnectorDNSError):
            reason = f"the host name {fault.host!r} could not be resolved: check the network and the cluster"
        elif isinstance(fault, aiohttp.ClientSSLError):
            reason = f"TLS failed: {fault}"
        else:
            reason = f"the connection failed: {type(fault).__name__}: {fault}"
        return TransportError(
            f"{request}: {self.redact(reason)} (attempt {attempt})",
            attempts=attempt,
        )

    def _announce_retry(self, method: str, path: str, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self._emit(
            RetryScheduled(
                method=method,
                path=path,
                attempt=state.attempt_number,
                delay=state.upcoming_sleep,
                error=str(error),
            )
        )


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, or as much of it as shows that it is too large."""
    if (
        response.content_length is not None
        and response.content_length <= MAX_BODY
        and not _is_packed(response)
    ):
        return await response.read()
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY:
            break
    return bytes(body)


def _is_packed(response: aiohttp.ClientResponse) -> bool:
    return "Content-Encoding" in response.headers
