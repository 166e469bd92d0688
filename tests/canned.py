"""Canned responses for single requests, by aioresponses."""

import inspect
from typing import Any
from unittest.mock import Mock

import aiohttp
from aioresponses import aioresponses


class _Response(aiohttp.ClientResponse):
    """A response with the argument that aiohttp 3.14 added, which aioresponses 0.7.9 does not pass."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters:
            kwargs.setdefault("stream_writer", Mock())
        super().__init__(*args, **kwargs)


class Api(aioresponses):  # type: ignore[misc]  # aioresponses has no types
    """Canned responses for the requests of an aiohttp session."""

    def add(self, *args: Any, **kwargs: Any) -> None:
        super().add(*args, response_class=_Response, **kwargs)
