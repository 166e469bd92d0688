"""The Voucherify exports API on loopback: real HTTP, seeded data, a clock to drive, and faults to inject.

`Sandbox` is the way in. It shares no code with the client, so that a mistake in one cannot hide in the other.
"""

from ._emulator.export_store import Outcome, Seconds
from ._http.faults import Edit, Fault, Reset
from ._http.requests import SandboxRequest
from ._sandbox import Sandbox

__all__ = ["Edit", "Fault", "Outcome", "Reset", "Sandbox", "SandboxRequest", "Seconds"]
