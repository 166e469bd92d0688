"""Requests as values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

_ONE_EXPORT = re.compile(r"/v1/exports/([^/]+)")


@frozen(kw_only=True)
class SandboxRequest:
    """A request that the sandbox received.

    `path` is decoded and without the query, `headers` are case-insensitive, and `at` is the time of the
    sandbox's clock in epoch seconds. `status` is that of the response, None when a fault prevented a complete
    one. `at_download_host` is True when the request was sent to the `download_host`. `quota_left` is how many
    requests the rate limit left after it, None without a rate limit.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    at: float
    status: int | None = None
    at_download_host: bool = False
    quota_left: int | None = None

    @property
    def export_id(self) -> str | None:
        """The id of the export in the path, or None."""
        match = _ONE_EXPORT.fullmatch(self.path)
        return match and match[1]

    @property
    def target(self) -> str:
        """The path and the query, encoded as in a URL."""
        return quote(self.path) + (f"?{urlencode(self.query)}" if self.query else "")

    @property
    def is_download(self) -> bool:
        """Whether it requests the file of an export."""
        return self.at_download_host or (
            self.method == "GET" and "token" in self.query and self.export_id is not None
        )
