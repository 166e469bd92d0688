import asyncio
from collections.abc import Callable, Iterable, Mapping

import pytest

from voucherify_exports import AuthenticationError, ClientClosedError, ExportsClient, Sandbox

Connect = Callable[..., ExportsClient]


class CustomAuth:
    """Credentials of the caller's, written with public names only; the first token is out of date."""

    def __init__(self, sandbox: Sandbox, tokens: Iterable[str]) -> None:
        self._app_id = sandbox.app_id
        self._tokens = iter(tokens)
        self.token = next(self._tokens)
        self.renewals = 0

    def headers(self) -> Mapping[str, str]:
        return {"X-App-Id": self._app_id, "X-App-Token": self.token}

    def secrets(self) -> Iterable[str]:
        return [self.token]


class RenewableCustomAuth(CustomAuth):
    """The same credentials with the optional method `renew`."""

    async def renew(self) -> None:
        self.renewals += 1
        await asyncio.sleep(0)
        self.token = next(self._tokens)


class SealedAuth(CustomAuth):
    async def renew(self) -> None:
        self.renewals += 1
        await asyncio.sleep(0.01)
        raise PermissionError("the vault is sealed")


class HangingAuth(CustomAuth):
    def __init__(self, sandbox: Sandbox, tokens: Iterable[str]) -> None:
        super().__init__(sandbox, tokens)
        self.hanging = asyncio.Event()

    async def renew(self) -> None:
        self.hanging.set()
        await asyncio.Event().wait()


class SlowAuth(HangingAuth):
    async def renew(self) -> None:
        self.renewals += 1
        if self.renewals == 1:
            await super().renew()
        self.token = next(self._tokens)


class KeptHeaders(RenewableCustomAuth):
    """Returns one dict, which a renewal changes."""

    def headers(self) -> Mapping[str, str]:
        kept = vars(self).setdefault("kept", {})
        kept |= super().headers()
        return kept


class NonceHeaders(RenewableCustomAuth):
    """Returns other headers for each request."""

    def headers(self) -> Mapping[str, str]:
        return {**super().headers(), "X-Nonce": str(id(object()))}


class TestAuth:
    async def test_two_methods_suffice(self, sandbox: Sandbox) -> None:
        """Any object with `headers` and `secrets` authenticates a client."""
        export_id = sandbox.add_export("voucher")
        async with ExportsClient(
            auth=CustomAuth(sandbox, [sandbox.app_token]), base_url=sandbox.url
        ) as client:
            assert (await client.get_export(export_id)).id == export_id

    async def test_without_renewal_a_401_is_an_error(self, sandbox: Sandbox) -> None:
        """Credentials without `renew` are refused once."""
        async with ExportsClient(auth=CustomAuth(sandbox, ["old"]), base_url=sandbox.url) as client:
            with pytest.raises(AuthenticationError):
                await client.get_export("exp_1")
        assert len(sandbox.requests) == 1


class TestRenewableAuth:
    async def test_a_401_renews_once_for_all(self, sandbox: Sandbox) -> None:
        """Requests that get a 401 at the same time share one renewal, and each is sent again."""
        ids = [sandbox.add_export("voucher") for _ in range(10)]
        auth = RenewableCustomAuth(sandbox, ["old", sandbox.app_token])
        async with ExportsClient(auth=auth, base_url=sandbox.url) as client:
            exports = await asyncio.gather(*map(client.get_export, ids))

        assert [export.id for export in exports] == ids
        assert auth.renewals == 1
        assert len(sandbox.requests) == 20

    async def test_a_second_401_is_an_error(self, sandbox: Sandbox) -> None:
        """Credentials are renewed only once for a request."""
        auth = RenewableCustomAuth(sandbox, ["old", "older", sandbox.app_token])
        async with ExportsClient(auth=auth, base_url=sandbox.url) as client:
            with pytest.raises(AuthenticationError):
                await client.get_export("exp_1")
        assert auth.renewals == 1

    async def test_a_renewal_that_fails_is_shared(self, sandbox: Sandbox) -> None:
        """All requests of a generation raise AuthenticationError, whose cause is the exception of `renew`."""
        vault = SealedAuth(sandbox, ["old"])
        async with ExportsClient(auth=vault, base_url=sandbox.url) as client:
            calls = (client.get_export("exp_1") for _ in range(5))
            errors = await asyncio.gather(*calls, return_exceptions=True)
            with pytest.raises(AuthenticationError, match="renewing them failed"):
                await client.get_export("exp_1")

        assert [type(error) for error in errors] == [AuthenticationError] * 5
        assert all(
            isinstance(error.__cause__, PermissionError) for error in errors if isinstance(error, Exception)
        )
        assert vault.renewals == 2  # one for the five, one for the last

    async def test_it_ends_the_wait(self, sandbox: Sandbox) -> None:
        """A wait ends with the 401, and the other waits of the client are not affected by the exception."""
        async with ExportsClient(auth=SealedAuth(sandbox, ["old"]), base_url=sandbox.url) as client:
            waits = (client.wait_until_done(export_id, timeout=5) for export_id in ("exp_1", "exp_2"))
            errors = await asyncio.gather(*waits, return_exceptions=True)

        assert [type(error) for error in errors] == [AuthenticationError] * 2

    @pytest.mark.parametrize("kind", ["kept", "nonce"])
    async def test_headers_of_any_kind(self, kind: str, sandbox: Sandbox) -> None:
        """`headers` may return one dict that it changes, or other headers for each request."""
        vault = {"kept": KeptHeaders, "nonce": NonceHeaders}[kind](sandbox, ["old", sandbox.app_token])
        ids = [sandbox.add_export("voucher") for _ in range(5)]
        async with ExportsClient(auth=vault, base_url=sandbox.url) as client:
            await asyncio.gather(*map(client.get_export, ids))

        assert vault.renewals == 1

    async def test_it_has_the_time_of_a_request(self, sandbox: Sandbox) -> None:
        """A renewal that hangs ends after `request_timeout`."""
        vault = HangingAuth(sandbox, ["old"])
        async with ExportsClient(auth=vault, base_url=sandbox.url, request_timeout=0.05) as client:
            with pytest.raises(AuthenticationError, match="TimeoutError"):
                await client.get_export("exp_1")

    async def test_closing_ends_it(self, sandbox: Sandbox) -> None:
        """`close` ends a renewal, and the call raises ClientClosedError."""
        vault = HangingAuth(sandbox, ["old"])
        client = ExportsClient(auth=vault, base_url=sandbox.url)
        call = asyncio.create_task(client.get_export("exp_1"))
        await vault.hanging.wait()

        await client.close()

        assert call.done()
        with pytest.raises(ClientClosedError):
            await call

    async def test_a_cancelled_renewal_is_repeated(self, sandbox: Sandbox) -> None:
        """Cancelling the call that renews ends only this call; the next in line renews."""
        vault = SlowAuth(sandbox, ["old", sandbox.app_token])
        export_id = sandbox.add_export("voucher")
        async with ExportsClient(auth=vault, base_url=sandbox.url) as client:
            first, second = (asyncio.create_task(client.get_export(export_id)) for _ in range(2))
            await vault.hanging.wait()
            first.cancel()

            assert (await second).id == export_id
        assert first.cancelled()
        assert vault.renewals == 2

    async def test_old_and_new_secrets_are_hidden(self, sandbox: Sandbox) -> None:
        """Messages show neither the replaced credentials nor the new ones."""
        auth = RenewableCustomAuth(sandbox, ["OLD-SECRET", sandbox.app_token])
        async with ExportsClient(auth=auth, base_url=sandbox.url) as client:
            await client.list_page()
            sandbox.fail(status=400, body={"message": f"OLD-SECRET {sandbox.app_token}"})
            with pytest.raises(Exception, match="… …") as caught:
                await client.list_page()

        assert sandbox.app_token not in str(caught.value)
