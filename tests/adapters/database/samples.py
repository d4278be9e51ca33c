"""A valid row of every table, made from the metadata, so that a new table is covered by the tests by itself."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from secrets import token_bytes
from uuid import UUID, uuid4

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Double,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    insert,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from adapters.database.tables import orgs, tenant_tables

Row = dict[str, object]

_VALUES: tuple[tuple[type, Callable[[], object]], ...] = (
    (Uuid, uuid4),
    (Text, lambda: uuid4().hex),
    (Integer, lambda: 1),
    (Double, lambda: 1.0),
    (Boolean, lambda: True),
    (DateTime, lambda: datetime.now(UTC)),
    (Date, lambda: datetime.now(UTC).date()),
    (LargeBinary, lambda: token_bytes(32)),
    (JSONB, lambda: {"a": 1}),
    (ARRAY, lambda: ["a"]),
)


def insert_family(connection: Connection, org_id: UUID) -> dict[str, Row]:
    """One row in every table of tenants, each under the row of its parent."""
    family: dict[str, Row] = {orgs.name: {"id": org_id}}
    for table in tenant_tables():
        family[table.name] = sample(table, org_id, family)
        connection.execute(insert(table).values(family[table.name]))
    return family


def insert_org(connection: Connection, org_id: UUID) -> None:
    """The org itself."""
    connection.execute(insert(orgs).values(id=org_id, name="An org"))


def sample(table: Table, org_id: UUID, family: Mapping[str, Row]) -> Row:
    """A row whose optional columns are left out."""
    return {
        column.name: _value(column, org_id, family)
        for column in table.columns
        if column.name == "org_id" or not (column.nullable or column.server_default or column.computed)
    }


def is_row(table: Table, row: Row) -> list[ColumnElement[bool]]:
    """Conditions that pick the row by its primary key, or by its owner where the database made the key."""
    return [
        column == row[column.name]
        for column in (*table.primary_key.columns, table.c.org_id)
        if column.name in row
    ]


def _value(column: Column[object], org_id: UUID, family: Mapping[str, Row]) -> object:
    if column.name == "org_id":
        return org_id
    for key in column.foreign_keys:
        return family[key.column.table.name][key.column.name]
    if "values" in column.info:
        return column.info["values"][0]
    for kind, make in _VALUES:
        if isinstance(column.type, kind):
            return make()
    raise TypeError(f"say what a sample of {column.type!r} is ({column})")
