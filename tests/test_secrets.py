"""Nothing that a person may read contains a secret, whatever fails."""

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

# Each response quotes the credentials and a download token, as a careless server might.
LEAKS = (
    "app {app_id} token {app_token} at https://download.voucherify.io/v1/exports/exp_1?token=DOWNLOAD-SECRET"
)

FAULTS: dict[str, dict[str, Any]] = {
    "no fault": {},
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
    "no response": {"delay": float("inf")},
}


def filled(value: Any, sandbox: Sandbox) -> Any:
    """The fault with the sandbox's credentials in the place of the fields of `LEAKS`."""
    text = json.dumps(value)
    return json.loads(text.replace("{app_id}", sandbox.app_id).replace("{app_token}", sandbox.app_token))


def shown(error: BaseException) -> str:
    """Everything of an error that a person may read."""
    attributes = [repr(value) for value in vars(error).values()]
    formatted = "".join(traceback.format_exception(error))
    return "\n".join([str(error), repr(error), formatted, *attributes])


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_secret_is_shown(
    fault: str, connect: Connect, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """No message, repr, attribute, traceback, event or log record contains a secret, whatever the fault."""
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []

    def record_event(event: Any) -> None:
        texts.append(f"{event} {event!r}")
        log_event(event)

    export_id = sandbox.add_export("customer", id="exp_1")
    sandbox.fail(times=None, **filled(FAULTS[fault], sandbox))
    client = connect(request_timeout=0.02, on_event=record_event, clock=Hurried())
    outcomes = await asyncio.gather(
        client.get_export(export_id),
        client.wait_until_done(export_id, timeout=10, on_update=lambda export: texts.append(repr(export))),
        return_exceptions=True,
    )

    texts += [repr(client), *(shown(outcome) for outcome in outcomes if isinstance(outcome, BaseException))]
    texts += [repr(outcome) for outcome in outcomes]
    texts += [f"{record.getMessage()} {record.args!r}" for record in caplog.records]
    output = "\n".join(texts)
    for outcome in outcomes:
        assert not isinstance(outcome, BaseException) or isinstance(outcome, VoucherifyExportsError)
    assert len(output) > 200
    assert sandbox.app_token not in output
    assert sandbox.app_id not in output
    assert "DOWNLOAD-SECRET" not in output
    assert "?token=" not in output


class Hurried:
    """A clock that runs a hundred times as fast as the real one."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() * 100

    def wall(self) -> float:
        return EPOCH + self.monotonic()

    async def sleep(self, seconds: float, /) -> None:
        await asyncio.sleep(seconds / 100)
