"""The hook: from an Airflow connection to a client of the exports API."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import BaseHook

from .. import ClientOptions
from ..auth import OAuth
from ..client import ExportsClient
from ..errors import ConfigurationError, VoucherifyExportsError, describe_unknown
from ..events import EventHook
from ..polling import PollPolicy, RetryPolicy

if TYPE_CHECKING:
    from airflow.sdk import Connection

_Result = TypeVar("_Result")

_POLICIES: dict[str, Callable[..., Any]] = {"poll": PollPolicy, "retry": RetryPolicy}
# The connection's own fields hold these, or JSON cannot.
_NOT_IN_EXTRA = {"auth", "base_url", "clock", "cluster", "on_event", "session"}
OPTIONS = (*(name for name in ClientOptions.__annotations__ if name not in _NOT_IN_EXTRA), "oauth")
"""Names that a connection's extra may hold."""

_CLUSTER = re.compile(r"([a-z0-9-]+\.)*api")


class VoucherifyHook(BaseHook):
    """A client for one Voucherify project, configured by an Airflow connection of the type `voucherify`.

    >>> async with VoucherifyHook("voucherify_shop").get_conn() as client:
    ...     export = await client.get_export("exp_CGnCVltmWjI9V1pGlnunw2Nf")

    - Host: a cluster (`api`, `us1.api` or `as1.api`; default `api`), or the host name or URL of the API. The
      scheme defaults to https.
    - Login: the application id. Password: the application token.
    - Extra: other options of `ExportsClient`, such as `{"poll_share": 0.3}`. `poll`, `retry` and `oauth`
      hold the arguments of `PollPolicy`, `RetryPolicy` and `OAuth`, the latter without the id and the token.
    """

    conn_name_attr = "voucherify_conn_id"
    default_conn_name = "voucherify_default"
    conn_type = "voucherify"
    hook_name = "Voucherify"

    def __init__(self, voucherify_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.voucherify_conn_id = voucherify_conn_id

    def get_conn(self) -> ExportsClient:
        """Create a client, which the caller closes.

        Raises `ConfigurationError` for an invalid value in the connection.
        """
        return make_client(self.get_connection(self.voucherify_conn_id))

    def test_connection(self) -> tuple[bool, str]:
        """Check whether Voucherify accepts the credentials; costs one request.

        Returns whether it does, and a message with the number of exports or the error.
        """
        try:
            page = self.run(lambda client: client.list_page(page_size=1))
        except VoucherifyExportsError as error:
            return False, str(error)
        return True, f"Connected to Voucherify; exports in the project: {page.total}"

    def run(self, call: Callable[[ExportsClient], Awaitable[_Result]]) -> _Result:
        """Call a coroutine function with a client, return its result, and close the client.

        Blocks until it is done. Call it outside of any event loop.

        >>> page = VoucherifyHook("voucherify_shop").run(lambda client: client.list_page())
        """
        return asyncio.run(_call(self.get_conn(), call))


def make_client(connection: "Connection", *, on_event: EventHook | None = None) -> ExportsClient:
    """Create a client from a connection."""
    try:
        return ExportsClient(on_event=on_event, **_client_options(connection))
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"connection {connection.conn_id!r}: {error}") from None


def _client_options(connection: "Connection") -> dict[str, Any]:
    extra = {name: value for name, value in _parse_extra(connection.extra).items() if value is not None}
    for name in sorted(extra.keys() - {*OPTIONS}):
        raise ConfigurationError(f"extra: {describe_unknown('option', name, OPTIONS)}")
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
        # The message does not quote the text, which may hold a secret.
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
