"""What arrived, as a value."""

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
    """A request that arrived, and the status it was answered with: None when the fault was to give no answer.

    `path` is decoded and without the query, `headers` are case-insensitive, `at` is the sandbox's clock time.
    `at_download_host` tells which of the two hosts was asked, `quota_left` what the plan had left after it.
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
        """The export that the path names."""
        match = _ONE_EXPORT.fullmatch(self.path)
        return match and match[1]

    @property
    def target(self) -> str:
        """The path and the query as they stand in a URL."""
        return quote(self.path) + (f"?{urlencode(self.query)}" if self.query else "")

    @property
    def is_download(self) -> bool:
        """Whether it asks for the file of an export, not for the export."""
        return self.at_download_host or (
            self.method == "GET" and "token" in self.query and self.export_id is not None
        )
