"""Sends each org's jobs to its region, whoever sends them: what an actor, a relay or a schedule hands to the broker."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import redis
from dramatiq import Message
from dramatiq.errors import ConnectionClosed

from app.bootstrap.redis import NAMESPACE
from app.settings import Settings
from middleware import in_region
from middleware.base.messages import org_of

from .org_shares import VERSION, orgs_key

#: Seconds that a process goes by what it knows of regions before it asks whether it is still so.
KNOWN_FOR_S = 2.0
#: Orgs that a process remembers at most.
MOST_ORGS = 10_000

#: Stands for what is not in memory; never the name of a region.
_UNKNOWN = "?"

#: Gives the region of an org; None: any.
RegionOf = Callable[[str], str | None]


def route_to_region(region_of: RegionOf) -> Callable[[Message[Any]], Message[Any]]:
    """The `route` of a broker that sends each message to the queue of its org's region.

    A message that says its own region, like a retry, stays there; one of no org goes to workers of any region.

    Parameters:
        region_of: gives the region of an org.

    Example:
        >>> FairRedisBroker(route=route_to_region(OrgRegions(client, look_up=None)))
    """

    def route(message: Message[Any]) -> Message[Any]:
        region = message.options.get("region")
        if not region:
            org = org_of(message) or _org_of_model(message)
            region = None if org is None else region_of(org)
        return in_region(message, region)

    return route


class OrgRegions:
    """The regions of orgs, as workers told them to Redis; where none has told lately, as their table has them.

    Answers from memory; every two seconds it asks whether that still holds, which is one round trip.

    Parameters:
        client: of the Redis that workers tell.
        look_up: reads the table. Default None: there is none, so that orgs nobody told of have no region.
        prefix: begins the key. Default: the platform's.
        clock_s: a clock that only goes forward, in seconds. Default `time.monotonic`.

    Raises:
        ConnectionClosed: from calls: Redis does not answer, and nothing is known yet.
        DatabaseUnavailable: from calls: no worker has told lately, and the database does not answer.

    Example:
        >>> OrgRegions(client, look_up=OrgTable(settings).region)("7c9e6679-7425-40de-944b-e07fc1f90ae7")
        'eu'
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        look_up: Callable[[UUID], str | None] | None,
        prefix: str = NAMESPACE,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._look_up = look_up
        self._key = orgs_key(prefix)
        self._clock_s = clock_s
        self._known: _Known | None = None

    def __call__(self, org: str) -> str | None:
        known = self._current()
        if known.nobody:
            return None
        region = known.regions.get(org, _UNKNOWN)
        if region is _UNKNOWN:
            region = self._ask(org, published=known.version is not None)
            if len(known.regions) >= MOST_ORGS:
                known.regions.clear()
            known.regions[org] = region
        return region

    def _current(self) -> "_Known":
        known, now_s = self._known, self._clock_s()
        if known is not None and now_s < known.until_s:
            return known
        try:
            with self._client.pipeline(transaction=False) as pipe:
                pipe.hget(self._key, VERSION)
                pipe.hlen(self._key)
                version, count = pipe.execute()
        except redis.RedisError as error:
            if known is not None:
                return known
            raise ConnectionClosed(error) from error  # type: ignore[no-untyped-call]
        same = known is not None and version is not None and version == known.version
        self._known = current = _Known(
            version=version,
            nobody=count == 1 if version is not None else self._look_up is None,
            until_s=now_s + KNOWN_FOR_S,
            regions=known.regions if known is not None and same else {},
        )
        return current

    def _ask(self, org: str, *, published: bool) -> str | None:
        try:
            org_id = UUID(org)
        except ValueError:
            return None
        if published:
            try:
                found = self._client.hget(self._key, str(org_id))
            except redis.RedisError as error:
                raise ConnectionClosed(error) from error  # type: ignore[no-untyped-call]
            return None if found is None else str(found, "utf-8")  # type: ignore[arg-type]
        return None if self._look_up is None else self._look_up(org_id)


class OrgTable:
    """The table of orgs, for processes that may never need it: nothing is loaded before, and no connection is kept.

    Parameters:
        database_url: of the worker role.
    """

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url

    def region(self, org_id: UUID) -> str | None:
        """Where an org's jobs run; None: anywhere, or there is no such org.

        Raises:
            DatabaseUnavailable: it cannot be told.
        """
        from adapters.database.engine import create_engine
        from adapters.database.org_shares import SqlOrgShares

        # It is asked where no worker has told: seldom, and by processes that come and go.
        engine = create_engine(self._database_url, pool_size=1, max_overflow=0)
        try:
            return SqlOrgShares(engine).region(org_id)
        finally:
            engine.dispose()


def org_regions(settings: Settings, client: redis.Redis) -> OrgRegions:
    """The regions of orgs, for a process of the platform. Opens no connection."""
    if settings.database_url is None:
        return OrgRegions(client, look_up=None)
    return OrgRegions(client, look_up=OrgTable(settings.database_url.get_secret_value()).region)


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What a process goes by until some moment."""

    #: None: nobody has told.
    version: bytes | None
    #: No org has a region.
    nobody: bool
    until_s: float
    regions: dict[str, str | None] = field(default_factory=dict)


def _org_of_model(message: Message[Any]) -> str | None:
    """The org of a payload that is not JSON yet."""
    (only,) = message.args if len(message.args) == 1 else (None,)
    org = getattr(only, "org_id", None)
    return None if org is None else str(org)
