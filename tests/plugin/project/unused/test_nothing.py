import os
import sys


def test_nothing_is_imported():
    assert sys.modules["voucherify_exports_pytest"].__file__.startswith(os.environ["PYTHONPATH"])
    assert not {"voucherify_exports", "aiohttp", "attr", "attrs", "cattrs", "tenacity"} & {*sys.modules}
