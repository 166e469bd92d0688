"""Seeded random numbers, texts and ids."""

from __future__ import annotations

import string
from random import Random
from uuid import UUID

_ALPHANUMERIC = string.ascii_letters + string.digits


class Draws(Random):
    """A random generator whose draws depend only on the text that seeds it."""

    def text(self, length: int) -> str:
        """Draw a text of letters and digits."""
        return "".join(self.choices(_ALPHANUMERIC, k=length))

    def request_id(self) -> str:
        """Draw a request id."""
        return f"v-{self.getrandbits(72):018x}"

    def key(self) -> str:
        """Draw an application id or token."""
        return str(UUID(int=self.getrandbits(128), version=4))

    def seconds(self, given: float | tuple[float, float]) -> float:
        """Return a number of seconds; draw it when a range is given."""
        return self.uniform(*given) if isinstance(given, tuple) else given
