"""Publish targets on PostgreSQL, for those who keep them: stored, listed, switched, credentials encrypted again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from uuid import UUID

from sqlalchemy import ColumnElement, Engine, RowMapping, Select, func, insert, select, true, update

from domain.errors import AuthFailed, InvalidInput, NotFound
from domain.ports import T
from domain.publishing import AdapterName, PublishTarget

from .tables import domain_registry, publish_targets
from .transactions import SqlSystemTransactions, SqlTransactions
from .unit_of_work import SystemUnitOfWork, UnitOfWork

#: Targets in one transaction of a rotation.
ROTATION_BATCH = 100
#: Ids of targets that could not be encrypted again which are told.
MAX_NAMED = 20

Unit = UnitOfWork | SystemUnitOfWork


@dataclass(frozen=True, kw_only=True)
class NewTarget:
    """A target as it is to be stored."""

    domain_id: UUID
    name: str
    adapter: AdapterName
    address: str
    #: Encrypts its credentials, given its id.
    sealed: Callable[[UUID], bytes]


@dataclass(frozen=True, kw_only=True)
class TargetRow:
    """A target without its credentials."""

    target_id: UUID
    org_id: UUID
    domain_id: UUID
    domain: str
    name: str
    adapter: AdapterName
    address: str
    enabled: bool
    created_at: datetime


@dataclass(kw_only=True)
class Rotation:
    """What encrypting every credential again came to."""

    rotated: int = 0
    #: Those that had the newest key before.
    unchanged: int = 0
    failed: int = 0
    #: The first of those that failed.
    failed_ids: list[UUID] = field(default_factory=list)


class SqlPublishTargets:
    """Keeps publish targets: of one org, or, where none is named, of every org.

    Another org's target is not found, in the same words as one that does not exist.

    Parameters:
        engine: connects as the worker role.

    Example:
        >>> SqlPublishTargets(engine).set_enabled(org_id, target_id, enabled=False)
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def store(self, org_id: UUID, new: NewTarget, new_id: UUID, *, replace: bool) -> UUID:
        """Keep a target under its name; its id.

        Parameters:
            org_id: owns the domain.
            new: what to store.
            new_id: the target's id, unless it replaces one.
            replace: whether a target of this name may get another adapter, address and credentials. It keeps its id.

        Raises:
            NotFound: the org has no such domain.
            InvalidInput: there is a target of this name and it is not to be replaced; or a text is too long.
        """
        return self._do(org_id, partial(_store, org_id=org_id, new=new, new_id=new_id, replace=replace))

    def page(self, org_id: UUID | None, *, after: UUID | None, limit: int) -> Sequence[TargetRow]:
        """Targets by id, those behind `after`, without their credentials."""

        def read(unit: Unit) -> Sequence[TargetRow]:
            query = (
                _rows(org_id)
                .where(true() if after is None else publish_targets.c.id > after)
                .order_by(publish_targets.c.id)
                .limit(limit)
            )
            return [_row(row) for row in unit.connection.execute(query).mappings()]

        return self._do(org_id, read)

    def target(self, org_id: UUID | None, target_id: UUID) -> PublishTarget:
        """A target with its credentials as they are kept.

        Raises:
            NotFound: there is none for this org.
        """

        def read(unit: Unit) -> PublishTarget:
            query = _rows(org_id).where(publish_targets.c.id == target_id)
            row = unit.connection.execute(query).mappings().one_or_none()
            if row is None:
                raise NotFound("publish target", target_id)
            return PublishTarget(
                target_id=row["id"],
                adapter=row["adapter"],
                address=row["address"],
                credentials=row["credentials"],
            )

        return self._do(org_id, read)

    def set_enabled(self, org_id: UUID | None, target_id: UUID, *, enabled: bool) -> bool:
        """Let posts go to a target, or not; whether that changed anything.

        Raises:
            NotFound: there is none for this org.
        """
        return self._do(org_id, partial(_set_enabled, org_id=org_id, target_id=target_id, enabled=enabled))

    def rotate(
        self, org_id: UUID | None, rotated: Callable[[bytes], bytes | None], *, batch: int = ROTATION_BATCH
    ) -> Rotation:
        """Encrypt every target's credentials again, a batch in each transaction.

        Parameters:
            org_id: whose targets; None for every org's.
            rotated: the credentials under the newest key; None when they are; AuthFailed when no key opens them.
            batch: targets in one transaction. Default 100.
        """
        report = Rotation()
        after: UUID | None = None
        while True:
            work = partial(_rotate, org_id=org_id, rotated=rotated, after=after, batch=batch)
            part, after = self._do(org_id, work)
            report.rotated += part.rotated
            report.unchanged += part.unchanged
            report.failed += part.failed
            report.failed_ids = [*report.failed_ids, *part.failed_ids][:MAX_NAMED]
            if after is None:
                return report

    def _do(self, org_id: UUID | None, work: Callable[[Unit], T]) -> T:
        if org_id is None:
            return SqlSystemTransactions(self._engine, _itself, lambda: None)(work)
        return SqlTransactions(self._engine, _itself, lambda: None)(org_id, work)


def _itself(unit: Unit) -> Unit:
    return unit


def _store(unit: Unit, *, org_id: UUID, new: NewTarget, new_id: UUID, replace: bool) -> UUID:
    columns = publish_targets.c
    domain = select(domain_registry.c.id).where(
        domain_registry.c.org_id == org_id, domain_registry.c.id == new.domain_id
    )
    if unit.connection.execute(domain.with_for_update(key_share=True)).one_or_none() is None:
        raise NotFound("domain", new.domain_id)
    there = unit.connection.execute(
        select(columns.id)
        .where(columns.org_id == org_id, columns.domain_id == new.domain_id, columns.name == new.name)
        .with_for_update()
    ).scalar_one_or_none()
    values = {"adapter": new.adapter, "address": new.address}
    if there == new_id:
        return new_id  # written by an earlier run of this unit, whose COMMIT nobody heard of
    if there is None:
        row = {"id": new_id, "org_id": org_id, "domain_id": new.domain_id, "name": new.name, **values}
        unit.connection.execute(insert(publish_targets).values(**row, credentials=new.sealed(new_id)))
    else:
        if not replace:
            raise InvalidInput(
                f"the domain has a target of this name, {there}; use another name, or --replace what it holds"
            )
        unit.connection.execute(
            update(publish_targets)
            .where(columns.org_id == org_id, columns.id == there)
            .values(**values, credentials=new.sealed(there), updated_at=func.now())
        )
    return there or new_id


def _set_enabled(unit: Unit, *, org_id: UUID | None, target_id: UUID, enabled: bool) -> bool:
    columns = publish_targets.c
    mine = (columns.id == target_id, _of(org_id))
    row = unit.connection.execute(select(columns.enabled).where(*mine).with_for_update()).one_or_none()
    if row is None:
        raise NotFound("publish target", target_id)
    if row.enabled == enabled:
        return False
    unit.connection.execute(
        update(publish_targets).where(*mine).values(enabled=enabled, updated_at=func.now())
    )
    return True


def _rotate(
    unit: Unit,
    *,
    org_id: UUID | None,
    rotated: Callable[[bytes], bytes | None],
    after: UUID | None,
    batch: int,
) -> tuple[Rotation, UUID | None]:
    """One batch, and where the next begins; None when this was the last."""
    columns = publish_targets.c
    query = (
        select(columns.org_id, columns.id, columns.credentials)
        .where(_of(org_id), true() if after is None else columns.id > after)
        .order_by(columns.id)
        .limit(batch)
        .with_for_update()
    )
    part = Rotation()
    rows = unit.connection.execute(query).all()
    for row in rows:
        try:
            fresh = rotated(row.credentials)
        except AuthFailed:
            part.failed += 1
            part.failed_ids.append(row.id)
            continue
        if fresh is None:
            part.unchanged += 1
            continue
        unit.connection.execute(
            update(publish_targets)
            .where(columns.org_id == row.org_id, columns.id == row.id)
            .values(credentials=fresh)
        )
        part.rotated += 1
    return part, rows[-1].id if len(rows) == batch else None


def _of(org_id: UUID | None) -> ColumnElement[bool]:
    return true() if org_id is None else publish_targets.c.org_id == org_id


def _rows(org_id: UUID | None) -> "Select[tuple[object, ...]]":
    domain = (domain_registry.c.org_id == publish_targets.c.org_id) & (
        domain_registry.c.id == publish_targets.c.domain_id
    )
    return (
        select(publish_targets, domain_registry.c.host)
        .join_from(publish_targets, domain_registry, domain)
        .where(_of(org_id))
    )


def _row(row: RowMapping) -> TargetRow:
    return TargetRow(
        target_id=row["id"],
        org_id=row["org_id"],
        domain_id=row["domain_id"],
        domain=row["host"],
        name=row["name"],
        adapter=row["adapter"],
        address=row["address"],
        enabled=row["enabled"],
        created_at=row["created_at"],
    )
