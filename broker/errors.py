"""What the broker raises besides Dramatiq's own errors."""

from dramatiq.errors import BrokerError


class BrokerScriptError(BrokerError):
    """The server refused a script: its version is too old, it is out of memory, or a key holds what it should not."""
