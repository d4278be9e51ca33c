"""A Dramatiq broker for many tenants on Redis or Valkey: fair by org, with leases, and retries that cannot get lost.

Import from here. It knows nothing of the guards, and they nothing of it.
"""

from .errors import BrokerScriptError
from .redis import FairRedisBroker

__all__ = ["BrokerScriptError", "FairRedisBroker"]
