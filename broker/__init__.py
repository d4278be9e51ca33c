"""A Dramatiq broker for many tenants on Redis or Valkey: fair by org, with leases, and retries that cannot get lost.

Import from here. It knows nothing of the guards, and they nothing of it.
"""

from .configuration import OrgShare, Rule
from .delegation import GivenOperation
from .errors import BrokerScriptError, MessageTooLarge, NotReplicated, PoisonMessage, QueueFull
from .inspection.admin import Moved, Operations
from .inspection.inspector import Inspector
from .inspection.views import (
    InFlightMessage,
    Lane,
    QueueDepth,
    QueueState,
    WaitingMessage,
    WaitingState,
    WorkerView,
)
from .inspection.why import Cause, Reason, Why
from .redis import FairRedisBroker
from .sending import Durability
from .server_check import UnsafeServer
from .supervisor.exit_codes import ExitCode

__all__ = [
    "BrokerScriptError",
    "Cause",
    "Durability",
    "ExitCode",
    "FairRedisBroker",
    "GivenOperation",
    "InFlightMessage",
    "Inspector",
    "Lane",
    "MessageTooLarge",
    "Moved",
    "NotReplicated",
    "Operations",
    "OrgShare",
    "PoisonMessage",
    "QueueDepth",
    "QueueFull",
    "QueueState",
    "Reason",
    "Rule",
    "UnsafeServer",
    "WaitingMessage",
    "WaitingState",
    "Why",
    "WorkerView",
]

# What is public goes by its public name, in tracebacks and stored letters: a module may move without their noticing.
for _name in __all__:
    _value = globals()[_name]
    if isinstance(_value, type) and _value.__module__.startswith(f"{__name__}."):
        _value.__module__ = __name__
del _name, _value
