"""What Airflow is told of this package: the connection type `voucherify` and its form.

A module of its own, since every process of Airflow imports it, and inside the package it would bring
aiohttp along.
"""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The provider as Airflow's schema has it; an entry point of the group `apache_airflow_provider`."""
    return {
        "package-name": "voucherify-exports",
        "name": "Voucherify exports",
        "description": "Exports of Voucherify projects: hook, deferrable operator, trigger and sensor.",
        "connection-types": [
            {
                "connection-type": "voucherify",
                "hook-class-name": "voucherify_exports.airflow.VoucherifyHook",
                "hook-name": "Voucherify",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "port"],
                    "relabeling": {
                        "host": "Cluster or URL",
                        "login": "Application id",
                        "password": "Application token",
                    },
                    "placeholders": {"host": "api, us1.api, as1.api, or https://api.voucherify.io"},
                },
                "conn-fields": {name: _field(*told) for name, told in _FIELDS.items()},
            }
        ],
    }


# What a connection's extra may hold, beside what the form has fields of its own for.
_FIELDS = {
    "poll_share": ("Poll share", "number", "What polling may take of the rate limit, above 0 and at most 1."),
    "request_timeout": ("Request timeout", "number", "Seconds for one request."),
    "max_quota_wait": (
        "Longest wait for quota",
        "number",
        "Seconds that a call may wait for the rate limit to reset.",
    ),
    "max_connections": ("Connections", "integer", "Requests under way at the same time."),
    "trusted_hosts": (
        "Trusted hosts",
        "array",
        "Bare names of more hosts that may see the credentials when a file is downloaded.",
    ),
    "poll": ("Polling", "object", "initial, factor, max and jitter of the PollPolicy."),
    "retry": ("Retries", "object", "attempts of the RetryPolicy."),
    "oauth": ("OAuth", "object", "scope and revoke_on_close; {} for the usual ones."),
}


def _field(label: str, kind: str, description: str) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": [kind, "null"]}}
