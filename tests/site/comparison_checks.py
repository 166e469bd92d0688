"""Checks of what README says about the published SDK, row by row; run only if this file is named."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import voucherify
from pydantic import ValidationError
from urllib3.exceptions import HTTPError

from voucherify_exports import Sandbox

CallSdk = Callable[..., Any]


@pytest.fixture
def call_sdk(sandbox: Sandbox) -> CallSdk:
    """Call a method of the SDK's exports API in a thread, since it blocks."""
    configuration = voucherify.Configuration(
        host=sandbox.url, api_key={"X-App-Id": sandbox.app_id, "X-App-Token": sandbox.app_token}
    )

    async def call_sdk(method: str, *args: Any, **options: Any) -> Any:
        with voucherify.ApiClient(configuration) as client:
            return await asyncio.to_thread(getattr(voucherify.ExportsApi(client), method), *args, **options)

    return call_sdk


def test_the_version() -> None:
    """README compares with version 6.1.1."""
    assert voucherify.__version__ == "6.1.1"


def test_the_sdk_is_not_async_and_does_not_wait() -> None:
    """No method of its exports API is a coroutine function, and none waits, pages or streams."""
    methods = dict(inspect.getmembers(voucherify.ExportsApi, inspect.isfunction))

    assert not any(map(inspect.iscoroutinefunction, methods.values()))
    assert {name.partition("_export")[0] for name in methods if not name.startswith("_")} == {
        "create",
        "delete",
        "download",
        "get",
        "list",
    }


@pytest.mark.parametrize("status", [429, 503])
async def test_the_sdk_does_not_retry(call_sdk: CallSdk, sandbox: Sandbox, status: int) -> None:
    """A 429 or 503 is raised at once, even if the next response would have been right."""
    export_id = sandbox.add_export("voucher")
    sandbox.fail(status=status)

    with pytest.raises(voucherify.ApiException) as caught:
        await call_sdk("get_export", export_id)
    assert caught.value.status == status
    assert len(sandbox.requests) == 1


async def test_a_lost_create_is_a_connection_error(call_sdk: CallSdk, sandbox: Sandbox) -> None:
    """The error does not say that the export exists nevertheless."""
    sandbox.fail(method="POST", reset="headers")
    body = voucherify.ExportsCreateRequestBody(exported_object="voucher")

    with pytest.raises(HTTPError, match="Connection aborted"):
        await call_sdk("create_export", exports_create_request_body=body)
    assert len(sandbox.state()["exports"]) == 1


@pytest.mark.parametrize("name", ["status", "exported_object"])
async def test_the_sdk_refuses_new_values(call_sdk: CallSdk, sandbox: Sandbox, name: str) -> None:
    """One export with an unknown value makes the whole list an error."""
    for kind in ("voucher", "order"):
        sandbox.add_export(kind)

    def change_first_export(page: Any) -> Any:
        page["exports"][0][name] = "NEW"
        return page

    assert len((await call_sdk("list_exports")).exports) == 2
    sandbox.fail(edit=change_first_export)
    with pytest.raises(ValidationError, match="NEW"):
        await call_sdk("list_exports")


def test_the_sdk_refuses_properties_of_metadata() -> None:
    """`metadata.<name>` cannot be requested, although the API accepts it."""
    with pytest.raises(ValidationError, match="each list item must be one of"):
        voucherify.ExportsCreateRequestBodyParameters(fields=["metadata.season"])


async def test_the_file_is_one_string(call_sdk: CallSdk, sandbox: Sandbox) -> None:
    """The file is returned as one string, however large it is."""
    export_id = sandbox.add_export("voucher", rows=20_000)
    export = await call_sdk("get_export", export_id)
    text = await call_sdk("download_export", export_id, export.result.url.partition("token=")[2])

    assert isinstance(text, str)
    assert text.count("\n") == 20_001


async def test_the_keys_follow_a_redirect(call_sdk: CallSdk, sandbox: Sandbox) -> None:
    """A redirect of the download sends the credentials to the host that it names."""
    export_id = sandbox.add_export("voucher")
    async with Sandbox(app_id="another", app_token="host") as other_host:
        sandbox.fail(download=True, redirect=other_host.url)
        with pytest.raises(voucherify.ApiException):
            await call_sdk("download_export", export_id, "token")

    assert [request.headers["X-App-Token"] for request in other_host.requests] == [sandbox.app_token]
