"""A Dramatiq broker for many tenants on Redis or Valkey: fair by org, with leases, and retries that cannot get lost.

Import from here. It knows nothing of the guards, and they nothing of it.
"""

from .errors import BrokerScriptError, MessageTooLarge, NotReplicated, PoisonMessage, QueueFull
from .redis import FairRedisBroker
from .rules import OrgShare

__all__ = [
    "BrokerScriptError",
    "FairRedisBroker",
    "MessageTooLarge",
    "NotReplicated",
    "OrgShare",
    "PoisonMessage",
    "QueueFull",
]
