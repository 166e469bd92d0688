"""Chance that the seed decides."""

from __future__ import annotations

import string
from random import Random
from uuid import UUID

_ALPHANUMERIC = string.ascii_letters + string.digits


class Draws(Random):
    """Draws that follow from the text they are made with, and from nothing else."""

    def text(self, length: int) -> str:
        """Draw so many letters and digits."""
        return "".join(self.choices(_ALPHANUMERIC, k=length))

    def request_id(self) -> str:
        """Draw a request id."""
        return f"v-{self.getrandbits(72):018x}"

    def key(self) -> str:
        """Draw an application id or token."""
        return str(UUID(int=self.getrandbits(128), version=4))

    def seconds(self, given: float | tuple[float, float]) -> float:
        """Return a number of seconds, drawn when it is given as a range."""
        return self.uniform(*given) if isinstance(given, tuple) else given
