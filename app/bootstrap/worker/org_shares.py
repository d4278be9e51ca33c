"""Takes what differs between orgs from their table to where it is decided by: the broker, and whoever sends.

The hash `<prefix>:orgs` holds, for those who send, the version in the field "" and the region of each org that has
one. It is gone a minute after the last worker, so that nobody goes by what has been forgotten.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import redis
from dramatiq import Broker

from app.bootstrap.redis import NAMESPACE
from broker import OrgShare
from broker.connection import connection_errors

from .periodic_tasks import PeriodicTask

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from adapters.database.org_shares import SharesNow

#: Seconds between two looks at whether anything has changed. `orgs set` does not wait for one.
LOOK_EVERY_S = 3.0
#: How long what was told is believed without a worker that says it still holds, in milliseconds.
BELIEVED_MS = 60_000
#: The field that holds the version.
VERSION = ""


#: Takes the shares of all orgs that have one of their own; what was said before is forgotten.
Configure = Callable[[Mapping[str, OrgShare]], object]


class Shares(Protocol):
    """Reads what differs between orgs."""

    def version(self) -> str:
        """Another text whenever it has changed."""
        ...

    def held(self) -> "AbstractContextManager[SharesNow]":
        """All of it; nobody else is in such a block at the same time."""
        ...


@runtime_checkable
class SharesWork(Protocol):
    """A broker that divides its workers between orgs; stock ones do not."""

    def configure_orgs(self, shares: Mapping[str, OrgShare]) -> int:
        """These orgs differ from the others; what was said before is forgotten. How many changed."""
        ...


class OrgShares:
    """Tells the broker and those who send, whenever something has changed or what they were told is gone.

    Any number of processes do so at once: each asks for the version, and one of them tells.

    Parameters:
        shares: reads what differs.
        client: of the Redis that those who send look into.
        configure: tells the broker which orgs differ from the others. Default None: it does not want to know.
        prefix: begins the key for those who send. Default: the platform's.
        look_every_s: seconds between two looks. Default 3.
        clock_s: a clock that only goes forward, in seconds. Default `time.monotonic`.

    Example:
        >>> OrgShares(SqlOrgShares(engine), client, broker.configure_orgs).tell()
    """

    def __init__(
        self,
        shares: Shares,
        client: redis.Redis,
        configure: Configure | None = None,
        *,
        prefix: str = NAMESPACE,
        look_every_s: float = LOOK_EVERY_S,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shares = shares
        self._client = client
        self._configure = configure
        self._key = orgs_key(prefix)
        self._look_every_s = look_every_s
        self._clock_s = clock_s
        self._next_look_s = clock_s()

    def __call__(self) -> bool:
        """A `PeriodicTask`: look, when it is time to.

        Raises:
            DatabaseUnavailable, redis.RedisError, BrokerError: it cannot be known, or not be told.
        """
        now_s = self._clock_s()
        if now_s >= self._next_look_s:
            version = self._shares.version()
            if self._published_version() != version:
                self.tell()
            self._next_look_s = now_s + self._look_every_s
        return False

    def tell(self) -> None:
        """Tell them now.

        Raises:
            DatabaseUnavailable, redis.RedisError, BrokerError: as above.
        """
        with self._shares.held() as now:
            if self._configure is not None:
                self._configure(
                    {
                        str(row.org_id): OrgShare(weight=row.weight, max_active=row.max_active)
                        for row in now.rows
                        if row.weight != 1 or row.max_active is not None
                    }
                )
            # For those who send last: who dies before has told nobody.
            regions = [value for row in now.rows if row.region for value in (str(row.org_id), row.region)]
            with connection_errors(self._client), self._client.pipeline() as pipe:
                pipe.delete(self._key)
                pipe.hset(self._key, items=[VERSION, now.version, *regions])
                pipe.pexpire(self._key, BELIEVED_MS)
                pipe.execute()

    def _published_version(self) -> str | None:
        with connection_errors(self._client), self._client.pipeline(transaction=False) as pipe:
            pipe.hget(self._key, VERSION)
            pipe.pexpire(self._key, BELIEVED_MS)
            version, _ = pipe.execute()
        return None if version is None else str(version, "utf-8")


def tell_shares(client: redis.Redis, engine: "Engine", broker: Broker) -> PeriodicTask:
    """The periodic task of every worker; with a client, a `MakePeriodicTask`."""
    from adapters.database.org_shares import SqlOrgShares

    configure = broker.configure_orgs if isinstance(broker, SharesWork) else None
    return OrgShares(SqlOrgShares(engine), client, configure)


def orgs_key(prefix: str) -> str:
    """Where those who send find what they need to know of orgs."""
    return f"{prefix}:orgs"
