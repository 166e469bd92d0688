import asyncio
from collections.abc import Callable, Iterable, Mapping

import pytest

from voucherify_exports import AuthenticationError, ExportsClient, Sandbox

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

    async def test_an_error_of_renew_is_raised(self, sandbox: Sandbox) -> None:
        """The call that needed the renewal raises the error of `renew`."""
        auth = RenewableCustomAuth(sandbox, ["old"])
        auth.renew = fail_to_renew  # type: ignore[method-assign]  # as if they were locked
        async with ExportsClient(auth=auth, base_url=sandbox.url) as client:
            with pytest.raises(PermissionError, match="locked"):
                await client.get_export("exp_1")

    async def test_old_and_new_secrets_are_hidden(self, sandbox: Sandbox) -> None:
        """Messages show neither the replaced credentials nor the new ones."""
        auth = RenewableCustomAuth(sandbox, ["OLD-SECRET", sandbox.app_token])
        async with ExportsClient(auth=auth, base_url=sandbox.url) as client:
            await client.list_page()
            sandbox.fail(status=400, body={"message": f"OLD-SECRET {sandbox.app_token}"})
            with pytest.raises(Exception, match="… …") as caught:
                await client.list_page()

        assert sandbox.app_token not in str(caught.value)


async def fail_to_renew() -> None:
    raise PermissionError("the credentials are locked")
