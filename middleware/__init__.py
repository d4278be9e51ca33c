"""Guards for Dramatiq: one cross-cutting concern a file, each usable alone on any broker."""

from .contracts import Contracts
from .errors import GuardError, InvalidPayload

__version__ = "0.1.0"

__all__ = ["Contracts", "GuardError", "InvalidPayload"]
