def test_asks_for_the_sandbox(voucherify_sandbox):
    raise AssertionError("unreachable")
