"""Whatever goes wrong, nothing that a person may read holds a secret."""

import asyncio
import json
import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from samples import wire
from virtual import EPOCH

from voucherify_exports import ExportsClient, Sandbox, VoucherifyExportsError, log_event

Connect = Callable[..., ExportsClient]

# Each quotes, as a careless server might, what it was sent and what it should not tell.
LEAKS = (
    "app {app_id} token {app_token} at https://download.voucherify.io/v1/exports/exp_1?token=DOWNLOAD-SECRET"
)

FAULTS: dict[str, dict[str, Any]] = {
    "nothing wrong": {},
    "html": {"body": f"<html>{LEAKS}</html>"},
    "no id": {"body": wire(id=..., channel=LEAKS)},
    "list": {"body": [wire(channel=LEAKS)]},
    "bad status": {"body": wire(status=None, channel=LEAKS)},
    "bad result": {"body": wire(result=[LEAKS])},
    "unknown status": {"body": wire(status="PAUSED", channel=LEAKS)},
    "no result": {"body": wire(result=None, channel=LEAKS)},
    "redirect": {
        "status": 302,
        "body": LEAKS,
        "headers": {"Location": "https://evil.example/?token=DOWNLOAD-SECRET"},
    },
    **{
        str(status): {
            "status": status,
            "body": {
                "message": LEAKS,
                "details": LEAKS,
                "key": LEAKS,
                "request_id": LEAKS,
                "resource_id": LEAKS,
            },
        }
        for status in (400, 401, 402, 403, 404, 408, 409, 418, 429, 500, 502, 503, 504)
    },
    "retry-after": {"status": 429, "headers": {"Retry-After": "3600"}, "body": LEAKS},
    "reset before": {"reset": "before"},
    "reset in the header": {"reset": "headers"},
    "reset in the body": {"reset": "body"},
    "silence": {"delay": float("inf")},
}


def filled(value: Any, sandbox: Sandbox) -> Any:
    """The fault with the sandbox's own keys in the places of the leaks."""
    text = json.dumps(value)
    return json.loads(text.replace("{app_id}", sandbox.app_id).replace("{app_token}", sandbox.app_token))


def shown(error: BaseException) -> str:
    """All that a person may read of an error."""
    attributes = [repr(value) for value in vars(error).values()]
    formatted = "".join(traceback.format_exception(error))
    return "\n".join([str(error), repr(error), formatted, *attributes])


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_secret_is_shown(
    fault: str, connect: Connect, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Messages, reprs, attributes, tracebacks, events and log records stay clean in every fault."""
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []

    def note(event: Any) -> None:
        seen.append(f"{event} {event!r}")
        log_event(event)

    export_id = sandbox.add_export("customer", id="exp_1")
    sandbox.fail(times=None, **filled(FAULTS[fault], sandbox))
    client = connect(request_timeout=0.02, on_event=note, clock=Hurried())
    outcomes = await asyncio.gather(
        client.get_export(export_id),
        client.wait_until_done(export_id, timeout=10, on_update=lambda export: seen.append(repr(export))),
        return_exceptions=True,
    )

    seen += [repr(client), *(shown(outcome) for outcome in outcomes if isinstance(outcome, BaseException))]
    seen += [repr(outcome) for outcome in outcomes]
    seen += [f"{record.getMessage()} {record.args!r}" for record in caplog.records]
    everything = "\n".join(seen)
    for outcome in outcomes:
        assert not isinstance(outcome, BaseException) or isinstance(outcome, VoucherifyExportsError)
    assert len(everything) > 200
    assert sandbox.app_token not in everything
    assert sandbox.app_id not in everything
    assert "DOWNLOAD-SECRET" not in everything
    assert "?token=" not in everything


class Hurried:
    """A clock that runs a hundred times as fast as the real one."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() * 100

    def wall(self) -> float:
        return EPOCH + self.monotonic()

    async def sleep(self, seconds: float, /) -> None:
        await asyncio.sleep(seconds / 100)
