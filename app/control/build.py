"""The control API, wired to the platform's servers."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from dramatiq import Broker

from adapters.database.audit import SqlAuditLog
from adapters.database.dead_letters import SqlDeadLetters
from adapters.database.engine import create_engine
from adapters.database.history import SqlHistoryStore
from adapters.database.org_shares import SqlOrgShares
from adapters.database.orgs import SqlOrgs
from adapters.database.schedules import SqlScheduleLists
from adapters.database.targets import SqlPublishTargets
from app.bootstrap.breakers import circuit_breakers
from app.bootstrap.redis import NAMESPACE, redis_client
from app.bootstrap.worker.org_shares import OrgShares
from app.bootstrap.worker.schedules import keep_schedules
from app.settings import Settings, SettingsError
from broker.configuration import Configuration
from broker.inspection.admin import Operations
from broker.inspection.inspector import Inspector
from broker.keys import base_key
from middleware import CancellationClient
from middleware.cancellation.redis import RedisCancellationStore
from middleware.dead_letters.letter import DeadLetter
from middleware.history.guard import AttemptRecord
from middleware.pauses.redis import RedisPauseStore
from middleware.progress.guard import ProgressReader
from middleware.progress.redis import RedisProgressStore

from .breakers import Breakers
from .dead_letters import DeadLetters
from .errors import redis_answers
from .jobs import Jobs
from .live import FairInspector
from .orgs import Orgs
from .pauses import Pauses
from .queues import Queues
from .recorded import RecordedJobs
from .schedules import Schedules
from .targets import Outbound, Targets
from .workers import Workers


@dataclass(frozen=True, kw_only=True)
class Control:
    """The control API, by what it is about.

    Every method takes the caller first, and raises a `JobError` that says what to do when it did nothing.
    """

    jobs: Jobs
    queues: Queues
    orgs: Orgs
    breakers: Breakers
    pauses: Pauses
    schedules: Schedules
    workers: Workers
    dead_letters: DeadLetters
    targets: Targets
    close: Callable[[], None]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def build(
    settings: Settings, *, broker: Callable[[], Broker] | None = None, namespace: str = NAMESPACE
) -> Control:
    """See `app.control.build_control`.

    Parameters:
        settings: where the servers are.
        broker: gives the broker with its actors; for tests. Default: the platform's, loaded when first needed.
        namespace: that broker's; for tests. Default: the platform's.
    """
    if settings.database_url is None:
        raise SettingsError("no database: set DATABASE_URL, or start `python -m app up`")
    closing = ExitStack()
    engine = create_engine(settings.database_url.get_secret_value(), pool_size=2, max_overflow=2)
    closing.callback(engine.dispose)
    client = closing.enter_context(redis_client(settings))
    audit = SqlAuditLog(engine)
    orgs = SqlOrgs(engine)
    letters = SqlDeadLetters(engine, DeadLetter.from_record)
    recorded = RecordedJobs(
        SqlHistoryStore(engine, AttemptRecord),
        ProgressReader(RedisProgressStore(client, prefix=NAMESPACE)),
        letters,
        orgs.unsent,
    )
    base = base_key(namespace)
    inspector = FairInspector(
        broker or _platform, recorded, Inspector(client, base), Operations(client, base)
    )
    configure = Configuration(client, base).configure_orgs
    shares = OrgShares(SqlOrgShares(engine), client, configure, prefix=namespace)
    cancellations = CancellationClient(RedisCancellationStore(client, prefix=NAMESPACE))
    return Control(
        jobs=Jobs(audit, inspector, cancellations),
        queues=Queues(audit, inspector, broker or _platform),
        orgs=Orgs(audit, orgs, _telling(shares)),
        breakers=Breakers(audit, circuit_breakers(client)),
        pauses=Pauses(audit, RedisPauseStore(client, prefix=NAMESPACE), broker or _platform, orgs),
        schedules=Schedules(
            audit,
            SqlScheduleLists(engine),
            lambda: keep_schedules(settings, engine, broker or _platform),
            orgs,
            broker or _platform,
        ),
        workers=Workers(audit, inspector),
        targets=Targets(
            audit,
            SqlPublishTargets(engine),
            lambda: _outbound(settings),
        ),
        dead_letters=DeadLetters(audit, letters, broker or _platform, client.ping),
        close=closing.close,
    )


def _telling(shares: OrgShares) -> Callable[[], None]:
    def publish() -> None:
        with redis_answers():
            shares.tell()

    return publish


def _outbound(settings: Settings) -> Outbound:
    from .outbound import PlatformOutbound  # late: it loads what speaks HTTP

    return PlatformOutbound(settings)


def _platform() -> Broker:
    import actors  # noqa: F401  # declares every job on the broker
    from app.broker import broker

    return broker
