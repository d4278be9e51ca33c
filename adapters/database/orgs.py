"""Orgs as operators and their own people look at them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, Engine, func, literal, select, true, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import DatabaseUnavailable

from .errors import translated
from .org_shares import MAX_ACTIVE
from .tables.jobs import outbox
from .tables.tenancy import domain_registry, orgs
from .unit_of_work import SystemUnitOfWork, UnitOfWork

#: Bound on a statement, in seconds: a person waits.
TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class OrgRow:
    """An org, as its row has it."""

    id: UUID
    name: str
    #: None: served by workers of any region.
    region: str | None
    #: Its share of the workers, relative to other orgs.
    weight: int
    created_at: datetime
    #: Limits that differ from the platform's, by name.
    limits: Mapping[str, object] = field(default_factory=dict)


class SqlOrgs:
    """Finds orgs, changes what holds for one, and knows what is in the outbox for them.

    Parameters:
        engine: connects as the worker role, which may take the system role.

    Raises:
        DatabaseUnavailable: from every method; it may pass later.

    Example:
        >>> SqlOrgs(engine).page(after=None, limit=50)
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def page(self, *, after: UUID | None, limit: int) -> list[OrgRow]:
        """Orgs by id, those after `after`, at most `limit`."""
        query = select(orgs).where(orgs.c.id > after if after is not None else true())
        with self._connection(None) as connection:
            return [
                _org(row) for row in connection.execute(query.order_by(orgs.c.id).limit(limit)).mappings()
            ]

    def get(self, org_id: UUID) -> OrgRow | None:
        """The org with this id, None when there is none."""
        with self._connection(org_id) as connection:
            row = connection.execute(select(orgs).where(orgs.c.id == org_id)).mappings().one_or_none()
            return None if row is None else _org(row)

    def set(
        self,
        org_id: UUID,
        *,
        weight: int | Literal["default"] | None = None,
        max_active: int | Literal["default"] | None = None,
        region: str | None = None,
    ) -> OrgRow | None:
        """Change what is given; the org as it is then, None when there is none.

        Parameters:
            org_id: which.
            weight: its share of the workers; "default" is 1. Default None: as it is.
            max_active: how many of its jobs run at once; "default" is the platform's. Default None: as it is.
            region: where its jobs run; "default" is anywhere. Default None: as it is.
        """
        values: dict[str, object] = {}
        if weight is not None:
            values["weight"] = 1 if weight == "default" else weight
        if max_active == "default":
            values["limits"] = orgs.c.limits.op("-")(literal(MAX_ACTIVE))
        elif max_active is not None:
            values["limits"] = orgs.c.limits.op("||")(literal({MAX_ACTIVE: max_active}, JSONB))
        if region is not None:
            values["region"] = None if region == "default" else region
        query = update(orgs).where(orgs.c.id == org_id).values(values).returning(orgs)
        with self._connection(None) as connection:
            row = connection.execute(query).mappings().one_or_none()
            return None if row is None else _org(row)

    def domains(self, org_id: UUID) -> int:
        """How many domains an org has."""
        columns = domain_registry.c
        query = select(func.count()).select_from(domain_registry).where(columns.org_id == org_id)
        with self._connection(org_id) as connection:
            return connection.scalars(query).one()

    def unsent(self, message_id: str, org_id: UUID | None) -> bool:
        """True if a message waits in the outbox; with `org_id`, for that org."""
        try:
            known = UUID(message_id)
        except ValueError:
            return False
        query = select(outbox.c.id).where(outbox.c.id == known)
        if org_id is not None:
            query = query.where(outbox.c.org_id == org_id)
        with self._connection(org_id) as connection:
            return connection.execute(query).one_or_none() is not None

    @contextmanager
    def _connection(self, org_id: UUID | None) -> Iterator[Connection]:
        unit = (
            SystemUnitOfWork(self._engine, timeout_s=TIMEOUT_S)
            if org_id is None
            else UnitOfWork(self._engine, org_id, timeout_s=TIMEOUT_S)
        )
        try:
            with unit:
                yield unit.connection
        except SQLAlchemyError as error:
            known = translated(error)
            raise known from (error if isinstance(known, DatabaseUnavailable) else None)


def _org(row: Mapping[Any, Any]) -> OrgRow:
    return OrgRow(**{str(name): value for name, value in row.items()})
