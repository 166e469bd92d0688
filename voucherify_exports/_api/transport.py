"""The only I/O with the API: session, credentials, quota, retries and events."""

import asyncio
import itertools
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TypeVar
from urllib.parse import urlencode

import aiohttp
from tenacity import RetryCallState
from yarl import URL

from .._ground.clock import Clock
from .._version import __version__
from ..auth import Auth, OAuth
from ..errors import (
    AuthenticationError,
    ClientClosedError,
    ExportNotFoundError,
    InvalidResponseError,
    RateLimitedError,
    VoucherifyExportsError,
)
from ..events import EventHook, QuotaExhausted, RequestCompleted, RequestFailed, RetryScheduled, is_wanted
from ..polling import RetryPolicy
from .calls import (
    LONGEST_REASON,
    LOOK_FOR_IT,
    Call,
    is_repeatable,
    is_transient,
    may_have_arrived,
    message_of,
    transport_error,
)
from .quota import Quota, spent_error
from .scopes import Scopes
from .tokens import Tokens
from .wire import (
    MAX_BODY,
    AccessToken,
    Allowance,
    Answer,
    allowance_from,
    error_from,
    invalid,
    moment,
    rate_limit_from,
    retry_delay,
    token_from,
)

_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)  # ours bounds all of a request
_SPREAD = 1.0  # seconds
_READ_AHEAD = 256 * 1024  # bytes of a file
_FORM = "application/x-www-form-urlencoded"

_Received = TypeVar("_Received")


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
        self._root = str(base_url)
        self._auth = auth
        self._tokens = Tokens(auth, self._fetch_token, clock) if isinstance(auth, OAuth) else None
        self.redact = auth.redactor()
        self._session = session
        self._owns_session = session is None
        self._request_timeout = request_timeout
        self._retry = retry
        self._quota = quota
        self._max_quota_wait = max_quota_wait
        self._slots = asyncio.Semaphore(max_connections)
        self._clock = clock
        self._emit = emit
        self._closed = False
        self._scopes = Scopes(request_timeout)

    def request(self, method: str, path: str, query: str = "") -> Awaitable[Answer]:
        """Send a request on behalf of a caller: retried, and delayed while the quota is spent."""
        return self._call(Call(method, path, query))

    async def create(self, path: str, payload: object) -> Answer:
        """POST what creates an export: repeated only when it surely did not arrive."""
        body = json.dumps(payload, allow_nan=False).encode()
        return await self._call(Call("POST", path, "", body, "application/json", creates=True))

    async def _call(self, call: Call) -> Answer:
        give_up = self._clock.monotonic() + self._max_quota_wait
        may_go_on = is_repeatable if call.creates else is_transient
        try:
            return await self._send_in_quota(call, 1, give_up)
        except VoucherifyExportsError as error:
            if not may_go_on(error):
                raise
            return await self._retry_after(error, call, may_go_on, give_up)

    async def _retry_after(
        self,
        first: VoucherifyExportsError,
        call: Call,
        may_go_on: Callable[[BaseException], bool],
        give_up: float,
    ) -> Answer:
        """Let tenacity go on after a first attempt; most calls never need its machinery."""
        attempts = itertools.count(1)
        may_be_done = False

        async def attempt() -> Answer:
            number = next(attempts)
            if number == 1:
                raise first
            try:
                return await self._send_in_quota(call, number, give_up)
            except ExportNotFoundError:
                if call.method == "DELETE" and may_be_done:
                    return Answer(str(call), 204, {}, b"", self._clock.wall())
                raise

        def announce(state: RetryCallState) -> None:
            nonlocal may_be_done
            error = state.outcome.exception() if state.outcome else None
            may_be_done = may_be_done or (error is not None and may_have_arrived(error))
            self._emit(
                RetryScheduled(
                    method=call.method,
                    path=call.path,
                    attempt=state.attempt_number,
                    delay=state.upcoming_sleep,
                    error=str(error),
                )
            )

        retrying = self._retry.retrying(when=may_go_on, sleep=self.pause, before_sleep=announce)
        return await retrying(attempt)

    async def poll(self, path: str, query: str = "") -> Answer:
        """Send a GET once: a fault is for the poller to judge, and a closed gate is not waited for."""
        call = Call("GET", path, query)
        async with self._slots:
            if self._delay() > 0:
                raise self._spent(str(call))
            return await self._send(call, 1)

    async def open(self, url: URL, headers: Mapping[str, str], attempt: int) -> aiohttp.ClientResponse:
        """GET a file, at whatever host; no redirect is followed, and the caller closes the response.

        There is no bound on the whole, but one on the silence between two pieces of it.
        """
        self._check_open()
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self._request_timeout, sock_read=self._request_timeout
        )
        opening = self._open_session().get(
            url,
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
            raise_for_status=False,
            auto_decompress=False,
            read_bufsize=_READ_AHEAD,
        )
        return await self._receive(opening, url, attempt)

    async def read(self, response: aiohttp.ClientResponse, attempt: int) -> bytes:
        """The next piece of a file, empty at its end."""
        self._check_open()
        return await self._receive(response.content.readany(), response.url, attempt)

    async def _receive(self, waiting: Awaitable[_Received], url: URL, attempt: int) -> _Received:
        scope = self._scopes.open()
        try:
            async with scope:
                return await waiting
        except (aiohttp.ClientError, OSError) as fault:
            self._check_open()
            call = Call("GET", str(url.with_query(None)))
            error = transport_error(call, fault, attempt, self._request_timeout, self.redact)
            raise error from self._showable(fault)
        finally:
            self._scopes.discard(scope)

    async def close(self) -> None:
        """End every request under way with `ClientClosedError`, and close the session if it is ours."""
        self._closed = True
        await self._scopes.close()
        try:
            await self._revoke()
        finally:
            self._scopes.stop()
            if self._owns_session and self._session is not None:
                await self._session.close()

    async def _revoke(self) -> None:
        """Revoke the token if that is wanted; one that cannot be revoked expires by itself."""
        token = self._tokens.take() if self._tokens else None
        if token is None or self._session is None or self._session.closed:
            return
        call = Call("POST", "/v1/oauth/token/revoke", "", urlencode({"access_token": token}).encode(), _FORM)
        with suppress(aiohttp.ClientError, OSError, InvalidResponseError):
            await self._ask(self._session, self._auth.headers(), call)

    async def pause(self, seconds: float) -> None:
        """Sleep, unless the client is closed meanwhile."""
        self._check_open()
        scope = self._scopes.open()
        try:
            async with scope:
                await self._clock.sleep(seconds)
        except TimeoutError:
            raise ClientClosedError from None
        finally:
            self._scopes.discard(scope)

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosedError
        if self._session is not None and self._session.closed:
            raise ClientClosedError("The aiohttp session that this client was given is closed")

    async def _send_in_quota(self, call: Call, attempt: int, give_up: float) -> Answer:
        """Send once, or again after a refusal that names its end; waiting for quota is no attempt."""
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
            # Those who wait together do not all go at the same instant.
            await self.pause(delay + random.uniform(0, _SPREAD))  # noqa: S311 - guards nothing

    def _delay(self) -> float:
        """Seconds until anything may be sent."""
        now = self._clock.monotonic()
        return self._quota.opens_at(now) - now

    def _spent(self, request: str) -> RateLimitedError:
        return spent_error(request, self._delay(), self._clock.wall())

    async def credentials(self, attempt: int = 1) -> Mapping[str, str]:
        """The headers that authenticate a request; with OAuth, a token is fetched when none lasts."""
        return self._auth.headers() if self._tokens is None else await self._tokens.headers(attempt)

    def _send(self, call: Call, attempt: int) -> Awaitable[Answer]:
        if self._tokens is None:
            return self._send_as(self._auth.headers(), call, attempt)
        return self._send_with_token(self._tokens, call, attempt)

    async def _send_with_token(self, tokens: Tokens, call: Call, attempt: int) -> Answer:
        credentials = await tokens.headers(attempt)
        try:
            return await self._send_as(credentials, call, attempt)
        except AuthenticationError:
            tokens.reject(credentials)
        return await self._send_as(await tokens.headers(attempt), call, attempt)

    async def _fetch_token(self, form: bytes, attempt: int) -> AccessToken:
        call = Call("POST", "/v1/oauth/token", "", form, _FORM)
        token = token_from(await self._send_as(self._auth.headers(), call, attempt), self.redact)
        self.redact = self.redact.hiding(token.token)
        return token

    async def _send_as(self, credentials: Mapping[str, str], call: Call, attempt: int) -> Answer:
        self._check_open()
        started = self._clock.monotonic()
        try:
            answer = await self._ask(self._open_session(), credentials, call)
        except (aiohttp.ClientError, OSError) as fault:
            if isinstance(fault, TimeoutError):
                self._check_open()  # `close` ends it in the same way
            elapsed = self._clock.monotonic() - started
            error = transport_error(call, fault, attempt, self._request_timeout, self.redact)
            self._emit(
                RequestFailed(
                    method=call.method, path=call.path, attempt=attempt, elapsed=elapsed, error=str(error)
                )
            )
            raise error from self._showable(fault)
        allowance = allowance_from(answer)
        self._keep_books(answer, allowance)
        if is_wanted(RequestCompleted, self._emit):
            self._emit(
                RequestCompleted(
                    method=call.method,
                    path=call.path,
                    status=answer.status,
                    attempt=attempt,
                    elapsed=self._clock.monotonic() - started,
                    rate_limit=rate_limit_from(answer, allowance),
                )
            )
        if not 200 <= answer.status <= 299:
            raise error_from(answer, self.redact, LOOK_FOR_IT if call.creates else "")
        return answer

    def _showable(self, fault: Exception) -> Exception | None:
        """The fault as a cause, unless it quotes a secret or an answer, which the traceback would show."""
        text = message_of(fault)
        is_plain = "\n" not in text and len(text) <= LONGEST_REASON
        return fault if is_plain and self.redact(str(fault)) == str(fault) else None

    def _keep_books(self, answer: Answer, allowance: Allowance) -> None:
        now = self._clock.monotonic()
        self._quota.answered(now, *allowance)
        if answer.status == 429:
            self._quota.refused(now, retry_delay(answer))
            delay = self._delay()
            self._emit(QuotaExhausted(delay=delay, retry_at=moment(self._clock.wall() + delay)))
        else:
            self._quota.accepted()

    async def _ask(
        self, session: aiohttp.ClientSession, credentials: Mapping[str, str], call: Call
    ) -> Answer:
        scope = self._scopes.open(bounded=True)
        headers = credentials
        if call.content_type is not None:
            headers = {**credentials, "Content-Type": call.content_type}
        try:
            async with scope:
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
        finally:
            self._scopes.discard(scope)
        answer = Answer(str(call), response.status, response.headers, body, self._clock.wall())
        if len(body) > MAX_BODY:
            raise invalid(answer, f"the body has more than {MAX_BODY} bytes", self.redact)
        return answer

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"voucherify-exports/{__version__} {aiohttp.http.SERVER_SOFTWARE}"},
            )
        return self._session


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
