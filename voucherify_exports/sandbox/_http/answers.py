"""Answers: responses as values, with a content that is not yet bytes."""

from __future__ import annotations

import json
from http.client import responses
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

JSON_TYPE = "application/json; charset=utf-8"

UNAUTHORIZED: dict[str, object] = {"code": 401, "message": "Unauthorized", "key": "unauthorized"}
TOO_MANY: dict[str, object] = {"code": 429, "message": "Too many requests hit the API too quickly."}


@frozen(kw_only=True)
class Answer:
    """A response to send. Its content is bytes, text or anything that JSON can hold, or else `chunks`."""

    status: int = 200
    content: object = b""
    chunks: Iterator[bytes] | None = None
    headers: Mapping[str, str] = field(factory=dict[str, str])

    def encoded(self) -> bytes:
        """Return the content as bytes."""
        if isinstance(self.content, bytes):
            return self.content
        text = self.content if isinstance(self.content, str) else json.dumps(self.content)
        return text.encode()


def json_answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer in JSON, with the content type of the API."""
    return Answer(status=status, content=content, headers={"Content-Type": JSON_TYPE, **(headers or {})})


def plain_error(status: int) -> object:
    """Return the body of an error that has only a status."""
    known = {401: UNAUTHORIZED, 429: TOO_MANY}
    return known.get(status, {"code": status, "message": responses.get(status, "Unknown error")})


class RefusedError(Exception):
    """Raised by an endpoint that refuses a request; holds the answer."""

    def __init__(
        self,
        status: int,
        key: str,
        message: str,
        details: str | None = None,
        headers: Mapping[str, str] | None = None,
        **more: str,
    ) -> None:
        super().__init__(details or message)
        self.status = status
        self.headers = headers
        self.body: dict[str, object] = {
            "code": status,
            "key": key,
            "message": message,
            **({} if details is None else {"details": details}),
            **more,
        }
