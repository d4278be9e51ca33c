"""Which orgs have a share of the workers, a limit or a region of their own, for those who decide by it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import DatabaseUnavailable

from .errors import translated
from .tables.tenancy import OWN_SHARE, orgs
from .unit_of_work import SystemUnitOfWork, UnitOfWork

#: Bound on a statement, and on the time between two, in seconds.
TIMEOUT_S = 10.0

#: The name in `orgs.limits` of how many jobs of an org run at once, at most.
MAX_ACTIVE = "max_active"

# Written out and not bound: with a parameter the planner cannot tell that the partial index has all of them.
_OWN = text(OWN_SHARE)
_LOCK = func.pg_advisory_xact_lock(func.hashtextextended("org_shares", 0))


@dataclass(frozen=True, kw_only=True)
class OrgShareRow:
    """An org that differs from the others."""

    org_id: UUID
    weight: int
    #: None: the platform's.
    max_active: int | None
    #: None: served by workers of any region.
    region: str | None


@dataclass(frozen=True, kw_only=True)
class SharesNow:
    """All that differ, and the version of it."""

    version: str
    rows: tuple[OrgShareRow, ...]


class SqlOrgShares:
    """Reads what differs between orgs.

    Parameters:
        engine: connects as the worker role, which may take the system role.

    Raises:
        DatabaseUnavailable: from every method; it may pass later.

    Example:
        >>> SqlOrgShares(engine).region(org_id)
        'eu'
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def region(self, org_id: UUID) -> str | None:
        """Where an org's jobs run; None: anywhere, or there is no such org."""
        with _errors_mapped(), UnitOfWork(self._engine, org_id, timeout_s=TIMEOUT_S) as unit:
            return unit.connection.scalar(select(orgs.c.region).where(orgs.c.id == org_id))

    def version(self) -> str:
        """Another text whenever anything that differs has changed, however it was changed."""
        with _errors_mapped(), SystemUnitOfWork(self._engine, timeout_s=TIMEOUT_S) as unit:
            return _version(unit.connection)

    @contextmanager
    def held(self) -> Iterator[SharesNow]:
        """All that differ; until the block ends, nobody else is in one.

        So whoever passes on what it read here never puts older values in the place of newer ones.
        """
        with _errors_mapped(), SystemUnitOfWork(self._engine, timeout_s=TIMEOUT_S) as unit:
            unit.connection.execute(select(_LOCK))
            yield SharesNow(version=_version(unit.connection), rows=_rows(unit.connection))


def _version(connection: Connection) -> str:
    columns = orgs.c
    row_text = func.concat_ws(
        "|", columns.id, columns.weight, columns.limits[MAX_ACTIVE], "r", columns.region
    )
    count, total = connection.execute(
        select(func.count(), func.sum(func.hashtextextended(row_text, 0))).where(_OWN)
    ).one()
    return f"{count}:{total or 0}"


def _rows(connection: Connection) -> tuple[OrgShareRow, ...]:
    columns = orgs.c
    query = select(columns.id, columns.weight, columns.limits, columns.region).where(_OWN)
    return tuple(
        OrgShareRow(org_id=org_id, weight=weight, max_active=_max_active(limits), region=region)
        for org_id, weight, limits, region in connection.execute(query)
    )


def _max_active(limits: Mapping[str, Any]) -> int | None:
    # The column takes any JSON, and whoever writes there by hand may write anything.
    value = limits.get(MAX_ACTIVE)
    return value if type(value) is int and value >= 1 else None


@contextmanager
def _errors_mapped() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        known = translated(error)
        raise known from (error if isinstance(known, DatabaseUnavailable) else None)
