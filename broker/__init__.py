"""A Dramatiq broker for many tenants on Redis or Valkey: fair by org, with leases, and retries that cannot get lost.

Import from here. It knows nothing of the guards, and they nothing of it.
"""

from .configuration import OrgShare
from .errors import BrokerScriptError, MessageTooLarge, NotReplicated, PoisonMessage, QueueFull
from .inspection.admin import Operations
from .inspection.inspector import Inspector
from .inspection.why import Why
from .redis import FairRedisBroker
from .server_check import UnsafeServer

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
