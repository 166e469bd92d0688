"""A pytest plugin that runs the Python blocks of README and docs against the sandbox."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from voucherify_exports import Sandbox

IDS = {
    "exp_CGnCVltmWjI9V1pGlnunw2Nf": "customer",
    "exp_323UOPsH42twhJVaDZXf4UNo": "order",
    "exp_sPQR0na2gU0pIVUKIz4wdQI9": "voucher",
}

ROOT = str(Path(__file__).resolve().parents[1])

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    path=ROOT,
    patterns=["*.md", "docs/*.md"],
    setup=lambda namespace: namespace.update(__name__="example"),  # which modules have
    fixtures=["account"],
).pytest()


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A sandbox with the exports that the examples name, and an environment that points to it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    sandbox = Sandbox(scheduled_for=0.01, in_progress_for=0)
    asyncio.run_coroutine_threadsafe(sandbox.__aenter__(), loop).result(10)
    for export_id, exported_object in IDS.items():
        sandbox.add_export(exported_object, id=export_id)
    with pytest.MonkeyPatch.context() as environment:
        environment.chdir(tmp_path_factory.mktemp("files"))
        environment.setenv("VOUCHERIFY_APP_ID", sandbox.app_id)
        environment.setenv("VOUCHERIFY_APP_TOKEN", sandbox.app_token)
        environment.setenv("VOUCHERIFY_BASE_URL", sandbox.url)
        yield
    asyncio.run_coroutine_threadsafe(sandbox.__aexit__(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()
