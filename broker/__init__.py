"""A Dramatiq broker for many tenants on Redis or Valkey: fair by org, with leases, and retries that cannot get lost.

Import from here. It knows nothing of the guards, and they nothing of it.
"""

from .clients import client_from_url
from .configuration import OrgShare
from .delegation import AnyMessage, ConcurrencyKeys, Gates, MaxActive, Rule, StartRate
from .enqueuing import Route
from .errors import (
    BrokerScriptError,
    FullOf,
    MessageTooLarge,
    NewerSchema,
    NotReplicated,
    PoisonMessage,
    QueueFull,
    RepeatedTooLate,
    ServerFull,
    UnsafeServer,
    UnsupportedConnection,
    UnsupportedServer,
)
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
from .keys import base_key
from .redis import FairRedisBroker
from .sending import Durability
from .supervisor.child import RunningProcess, StartProcess
from .supervisor.events import EmitEvent
from .supervisor.exit_codes import ExitCode
from .supervisor.options import SupervisorOptions
from .supervisor.stop_signal import on_stop_signal
from .supervisor.supervisor import OnDeath, Supervisor

__all__ = [
    "AnyMessage",
    "BrokerScriptError",
    "Cause",
    "ConcurrencyKeys",
    "Durability",
    "EmitEvent",
    "ExitCode",
    "FairRedisBroker",
    "FullOf",
    "Gates",
    "InFlightMessage",
    "Inspector",
    "Lane",
    "MaxActive",
    "MessageTooLarge",
    "Moved",
    "NewerSchema",
    "NotReplicated",
    "OnDeath",
    "Operations",
    "OrgShare",
    "PoisonMessage",
    "QueueDepth",
    "QueueFull",
    "QueueState",
    "Reason",
    "RepeatedTooLate",
    "Route",
    "Rule",
    "RunningProcess",
    "ServerFull",
    "StartProcess",
    "StartRate",
    "Supervisor",
    "SupervisorOptions",
    "UnsafeServer",
    "UnsupportedConnection",
    "UnsupportedServer",
    "WaitingMessage",
    "WaitingState",
    "Why",
    "WorkerView",
    "base_key",
    "client_from_url",
    "on_stop_signal",
]

# What is public goes by its public name, in tracebacks and stored letters: a module may move without their noticing.
for _name in __all__:
    _value = globals()[_name]
    if isinstance(_value, type) and _value.__module__.startswith(f"{__name__}."):
        _value.__module__ = __name__
del _name, _value
