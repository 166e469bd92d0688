async def test_orders(voucherify_sandbox, voucherify_client):
    export = await voucherify_client.wait_until_done(voucherify_sandbox.add_export("order"))
    assert export.result_url.startswith(voucherify_sandbox.url)
