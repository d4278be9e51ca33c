"""The transactional outbox: what is decided in a transaction is sent if, and only if, the transaction commits."""

from .relay import Backlog, BrokerUnavailable, Relay, SendBytes
from .sending import EncodedMessage, EncodeMessage, SqlOutbox

__all__ = [
    "Backlog",
    "BrokerUnavailable",
    "EncodeMessage",
    "EncodedMessage",
    "Relay",
    "SendBytes",
    "SqlOutbox",
]
