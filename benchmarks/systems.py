"""The brokers that `benchmarks.broker` measures side by side."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module

from dramatiq import Broker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware

#: The environment variable by which Dramatiq fetches ahead, and what it is set to for the second baseline.
PREFETCH = "dramatiq_queue_prefetch"
PREFETCHED = 64

#: Makes a broker for a server's address; None as middleware means Dramatiq's default.
Make = Callable[[str, list[Middleware] | None], Broker]


@dataclass(frozen=True, kw_only=True)
class System:
    """A broker as one would run it."""

    key: str
    title: str
    make: Make
    #: What the keys of the guards' stores begin with: in the broker's hash slot, where it carries out ends for them.
    stores_prefix: str = "guards"
    #: What its processes have in their environment besides.
    environment: Mapping[str, str] = field(default_factory=dict)


def absent(system: System) -> str | None:
    """Why a system cannot be measured here; None when it can."""
    if system.key != OURS:
        return None
    try:
        _fair_broker()
    except (ImportError, AttributeError, SyntaxError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _vanilla(url: str, middleware: list[Middleware] | None) -> Broker:
    return RedisBroker(url=url, middleware=middleware)  # type: ignore[no-untyped-call]


def _fair(url: str, middleware: list[Middleware] | None) -> Broker:
    return _fair_broker()(url=url, middleware=middleware)


def _fair_broker() -> Callable[..., Broker]:
    made: Callable[..., Broker] = import_module("broker").FairRedisBroker
    return made


VANILLA = "dramatiq"
VANILLA_PREFETCH = "dramatiq-ahead"
OURS = "fair"

#: In the order of the table's columns.
SYSTEMS = {
    each.key: each
    for each in (
        System(key=VANILLA, title="Dramatiq", make=_vanilla),
        System(
            key=VANILLA_PREFETCH,
            title=f"Dramatiq, prefetch {PREFETCHED}",
            make=_vanilla,
            environment={PREFETCH: str(PREFETCHED)},
        ),
        System(key=OURS, title="FairRedisBroker", make=_fair, stores_prefix="dramatiq:{0}"),
    )
}
