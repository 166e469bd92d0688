"""Responses of the API as its reference shows them."""

from typing import Any

ID = "exp_CGnCVltmWjI9V1pGlnunw2Nf"
RESULT_URL = f"https://download.voucherify.io/v1/exports/{ID}?token=DOWNLOAD-SECRET"


def wire(**changes: Any) -> dict[str, Any]:
    """The reference's example of a finished export, with changes; the value `...` removes a property."""
    export: dict[str, Any] = {
        "id": ID,
        "object": "export",
        "created_at": "2022-01-13T09:03:18.293Z",
        "status": "DONE",
        "channel": "API",
        "exported_object": "customer",
        "parameters": {
            "order": "",
            "fields": ["name", "id", "email", "source_id", "created_at"],
            "filters": {"junction": "and"},
            "response_format": "CSV",
        },
        "result": {"url": RESULT_URL},
        "user_id": None,
    }
    export |= changes
    return {name: value for name, value in export.items() if value is not ...}


def running(status: str = "IN_PROGRESS", **changes: Any) -> dict[str, Any]:
    """The same export before it is finished."""
    return wire(status=status, result=None, **changes)
