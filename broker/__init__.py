"""A Dramatiq broker for many tenants on Redis or Valkey: fair by org, with leases, and retries that cannot get lost.

Import from here. It knows nothing of the guards, and they nothing of it.
"""

from .errors import BrokerScriptError, MessageTooLarge, NotReplicated, PoisonMessage, QueueFull
from .inspect import Inspector
from .operations import Operations
from .redis import FairRedisBroker
from .rules import OrgShare
from .server_check import UnsafeServer
from .why import Why

__all__ = [
    "BrokerScriptError",
    "FairRedisBroker",
    "Inspector",
    "MessageTooLarge",
    "NotReplicated",
    "Operations",
    "OrgShare",
    "PoisonMessage",
    "QueueFull",
    "UnsafeServer",
    "Why",
]
