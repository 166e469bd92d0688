"""The metadata of the Airflow provider: the connection type `voucherify` and its form.

Every Airflow process imports this module. It stands outside the package, whose import would load aiohttp.
"""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The provider in the form of Airflow's schema; an entry point of the group `apache_airflow_provider`."""
    return {
        "package-name": "voucherify-exports",
        "name": "Voucherify exports",
        "description": "Exports of Voucherify projects: hook, deferrable operator and sensor, trigger.",
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
                "conn-fields": {name: _field(*field) for name, field in _FIELDS.items()},
            }
        ],
    }


# The options in a connection's extra, each with a label, a JSON type and a help text.
_FIELDS = {
    "poll_share": ("Poll share", "number", "Share of the rate limit for polling, above 0 and up to 1."),
    "request_timeout": ("Request timeout", "number", "Timeout of one request, in seconds."),
    "max_quota_wait": (
        "Maximum wait for quota",
        "number",
        "How long a call may wait for the rate limit to reset, in seconds.",
    ),
    "read_lag": (
        "Read lag",
        "number",
        "How long a new export may be reported as not found, in seconds.",
    ),
    "max_connections": ("Maximum connections", "integer", "Maximum number of concurrent requests."),
    "trusted_hosts": (
        "Trusted hosts",
        "array",
        "More hosts that may receive the credentials for a download, by their names without a scheme.",
    ),
    "poll": ("Polling", "object", "Arguments of PollPolicy: initial, factor, max, jitter."),
    "retry": ("Retries", "object", "Arguments of RetryPolicy: attempts."),
    "oauth": ("OAuth", "object", "Arguments of OAuth: scope, revoke_on_close; {} for the defaults."),
}


def _field(label: str, kind: str, description: str) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": [kind, "null"]}}
