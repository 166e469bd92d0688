"""The Voucherify exports API on loopback: real HTTP, seeded data, driven time, faults on demand."""

from ._exports import Outcome, Seconds
from ._faults import Edit, Reset
from ._requests import SandboxRequest
from ._server import Sandbox

__all__ = ["Edit", "Outcome", "Reset", "Sandbox", "SandboxRequest", "Seconds"]
