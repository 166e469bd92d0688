import pytest
import pytest_asyncio

from voucherify_exports import Sandbox


@pytest.mark.asyncio
async def test_orders(voucherify_sandbox, voucherify_client):
    export = await voucherify_client.wait_until_done(voucherify_sandbox.add_export("order"))
    assert export.result_url.startswith(voucherify_sandbox.url)


@pytest.mark.asyncio
async def test_faults_do_not_slow_it_down(voucherify_sandbox, voucherify_client):
    export_id = voucherify_sandbox.add_export("order")
    voucherify_sandbox.fail(status=503, times=3)
    assert (await voucherify_client.get_export(export_id)).id == export_id
    assert len(voucherify_sandbox.requests) == 4


class TestWithASandboxOfItsOwn:
    @pytest_asyncio.fixture
    async def voucherify_sandbox(self):
        async with Sandbox(app_id="my-id") as sandbox:
            yield sandbox

    @pytest.mark.asyncio
    async def test_the_client_goes_there(self, voucherify_sandbox, voucherify_client):
        await voucherify_client.list_page(1)
        assert voucherify_sandbox.requests[0].headers["X-App-Id"] == "my-id"
