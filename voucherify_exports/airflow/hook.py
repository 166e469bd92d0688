"""The connection of Airflow, as a client of the exports API."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import BaseHook

from ..auth import OAuth
from ..client import ExportsClient
from ..errors import ConfigurationError, VoucherifyExportsError
from ..events import EventHook
from ..polling import PollPolicy, RetryPolicy

if TYPE_CHECKING:
    from airflow.sdk import Connection

_Result = TypeVar("_Result")

_POLICIES: dict[str, Callable[..., Any]] = {"poll": PollPolicy, "retry": RetryPolicy}
OPTIONS = (
    "poll_share",
    "request_timeout",
    "max_quota_wait",
    "max_connections",
    "trusted_hosts",
    "oauth",
    *_POLICIES,
)
"""What a connection's extra may hold."""

_CLUSTER = re.compile(r"([a-z0-9-]+\.)*api")


class VoucherifyHook(BaseHook):
    """One project of Voucherify, by an Airflow connection of the type `voucherify`.

    >>> async with VoucherifyHook("voucherify_shop").get_conn() as client:
    ...     export = await client.get_export("exp_CGnCVltmWjI9V1pGlnunw2Nf")

    - Host: a cluster (`api`, `us1.api`, `as1.api`; none means `api`), or the host name or URL of the API,
      with https where no scheme is said.
    - Login: the application id. Password: the application token.
    - Extra: any other option of `ExportsClient` that JSON can say, such as `{"poll_share": 0.3}`. `poll` and
      `retry` hold the arguments of `PollPolicy` and `RetryPolicy`, `oauth` those of `OAuth`, keys aside.
    """

    conn_name_attr = "voucherify_conn_id"
    default_conn_name = "voucherify_default"
    conn_type = "voucherify"
    hook_name = "Voucherify"

    def __init__(self, voucherify_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.voucherify_conn_id = voucherify_conn_id

    def get_conn(self) -> ExportsClient:
        """A client, which the caller closes; `ConfigurationError` for what cannot be right."""
        return make_client(self.get_connection(self.voucherify_conn_id))

    def test_connection(self) -> tuple[bool, str]:
        """Whether Voucherify takes the credentials, and what it says: costs one request."""
        try:
            page = self.run(lambda client: client.list_page(page_size=1))
        except VoucherifyExportsError as error:
            return False, str(error)
        return True, f"Voucherify answers: the project has {page.total} exports"

    def run(self, call: Callable[[ExportsClient], Awaitable[_Result]]) -> _Result:
        """What a client is asked for: waits for it, outside of any event loop, and closes the client.

        >>> page = VoucherifyHook("voucherify_shop").run(lambda client: client.list_page())
        """
        return asyncio.run(_call(self.get_conn(), call))


def make_client(connection: "Connection", *, on_event: EventHook | None = None) -> ExportsClient:
    """A client of the project that a connection leads to."""
    try:
        return ExportsClient(on_event=on_event, **_client_options(connection))
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"connection {connection.conn_id!r}: {error}") from None


def _client_options(connection: "Connection") -> dict[str, Any]:
    extra = {name: value for name, value in _parse_extra(connection.extra).items() if value is not None}
    for name in sorted(extra.keys() - {*OPTIONS}):
        matches = get_close_matches(name, OPTIONS, n=1)
        hint = f"did you mean {matches[0]!r}?" if matches else f"known options: {', '.join(sorted(OPTIONS))}"
        raise ConfigurationError(f"extra: unknown option {name!r}; {hint}")
    options = {
        name: _POLICIES[name](**value) if name in _POLICIES else value for name, value in extra.items()
    }
    oauth = options.pop("oauth", None)
    if oauth is None:
        options |= {"app_id": connection.login or "", "app_token": connection.password or ""}
    else:
        options["auth"] = OAuth(connection.login or "", connection.password or "", **oauth)
    return options | _address(connection)


def _parse_extra(text: str | None) -> Mapping[str, Any]:
    try:
        extra = json.loads(text or "{}")
        return {**extra}
    except (TypeError, ValueError):
        # Not quoted: it may hold a secret.
        raise ConfigurationError("extra is not a JSON object") from None


def _address(connection: "Connection") -> dict[str, str]:
    host = connection.host
    if not host:
        return {}
    if _CLUSTER.fullmatch(host) and connection.port is None:
        return {"cluster": host}
    url = host if "://" in host else f"{connection.schema or 'https'}://{host}"
    return {"base_url": url if connection.port is None else f"{url}:{connection.port}"}


async def _call(client: ExportsClient, call: Callable[[ExportsClient], Awaitable[_Result]]) -> _Result:
    async with client:
        return await call(client)
