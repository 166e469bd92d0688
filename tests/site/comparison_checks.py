"""What the front page says of the published SDK, row by row; collected only when this file is named."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import voucherify
from pydantic import ValidationError
from urllib3.exceptions import HTTPError

from voucherify_exports import Sandbox

Ask = Callable[..., Any]


@pytest.fixture
def ask(sandbox: Sandbox) -> Ask:
    """Call a method of the SDK's exports API, in a thread, since it blocks."""
    configuration = voucherify.Configuration(
        host=sandbox.url, api_key={"X-App-Id": sandbox.app_id, "X-App-Token": sandbox.app_token}
    )

    async def ask(method: str, *args: Any, **options: Any) -> Any:
        with voucherify.ApiClient(configuration) as client:
            return await asyncio.to_thread(getattr(voucherify.ExportsApi(client), method), *args, **options)

    return ask


def test_it_is_the_version_that_is_named() -> None:
    """The page speaks of 6.1.1."""
    assert voucherify.__version__ == "6.1.1"


def test_it_is_not_async_and_waits_for_nothing() -> None:
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
async def test_it_gives_up_at_the_first_refusal(ask: Ask, sandbox: Sandbox, status: int) -> None:
    """A 429 and a 503 are exceptions at once, also where the next answer would have been right."""
    export_id = sandbox.add_export("voucher")
    sandbox.fail(status=status)

    with pytest.raises(voucherify.ApiException) as caught:
        await ask("get_export", export_id)
    assert caught.value.status == status
    assert len(sandbox.requests) == 1


async def test_a_lost_create_is_a_connection_error(ask: Ask, sandbox: Sandbox) -> None:
    """Nothing says that the export is there nevertheless."""
    sandbox.fail(method="POST", reset="headers")
    body = voucherify.ExportsCreateRequestBody(exported_object="voucher")

    with pytest.raises(HTTPError, match="Connection aborted"):
        await ask("create_export", exports_create_request_body=body)
    assert len(sandbox.state()["exports"]) == 1


@pytest.mark.parametrize("name", ["status", "exported_object"])
async def test_it_refuses_what_is_new(ask: Ask, sandbox: Sandbox, name: str) -> None:
    """One export with a value that it does not know spoils the list."""
    for kind in ("voucher", "order"):
        sandbox.add_export(kind)

    def spoil(page: Any) -> Any:
        page["exports"][0][name] = "NEW"
        return page

    assert len((await ask("list_exports")).exports) == 2
    sandbox.fail(edit=spoil)
    with pytest.raises(ValidationError, match="NEW"):
        await ask("list_exports")


def test_it_refuses_properties_of_metadata() -> None:
    """`metadata.<name>` cannot be asked for, though the API has it."""
    with pytest.raises(ValidationError, match="each list item must be one of"):
        voucherify.ExportsCreateRequestBodyParameters(fields=["metadata.season"])


async def test_its_file_is_one_string(ask: Ask, sandbox: Sandbox) -> None:
    """However large the file is."""
    export_id = sandbox.add_export("voucher", rows=20_000)
    export = await ask("get_export", export_id)
    text = await ask("download_export", export_id, export.result.url.partition("token=")[2])

    assert isinstance(text, str)
    assert text.count("\n") == 20_001


async def test_its_keys_follow_a_redirect(ask: Ask, sandbox: Sandbox) -> None:
    """A redirect of the download takes them to whatever host it names."""
    export_id = sandbox.add_export("voucher")
    async with Sandbox(app_id="another", app_token="host") as stranger:
        sandbox.fail(download=True, redirect=stranger.url)
        with pytest.raises(voucherify.ApiException):
            await ask("download_export", export_id, "token")

    assert [request.headers["X-App-Token"] for request in stranger.requests] == [sandbox.app_token]
