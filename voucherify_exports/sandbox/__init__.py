"""The Voucherify exports API on loopback: real HTTP, seeded data, driven time, faults on demand."""

from ._emulator.export_store import Outcome, Seconds
from ._http.faults import Edit, Fault, Reset
from ._http.requests import SandboxRequest
from ._sandbox import Sandbox

__all__ = ["Edit", "Fault", "Outcome", "Reset", "Sandbox", "SandboxRequest", "Seconds"]
