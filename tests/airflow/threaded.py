"""A sandbox for code that blocks, and an Airflow connection to it."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

from voucherify_exports import Sandbox

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


class ThreadedSandbox:
    """A sandbox in a separate thread, for code that blocks."""

    def __init__(self, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.sandbox = Sandbox(**options)

    def __enter__(self) -> Sandbox:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.sandbox.__aenter__(), self._loop).result(10)
        return self.sandbox

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.sandbox.__aexit__(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def connection_to(sandbox: Sandbox, **extra: object) -> str:
    """An Airflow connection to a sandbox, in the JSON form of environment variables."""
    extra = {"poll": {"initial": 0.05, "max": 0.1}} | extra
    return json.dumps(
        {
            "conn_type": "voucherify",
            "host": sandbox.url,
            "login": sandbox.app_id,
            "password": sandbox.app_token,
            "extra": extra,
        }
    )
