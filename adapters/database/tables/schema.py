"""How every table is put together: one metadata, names for every constraint, columns that check themselves."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

#: PostgreSQL would make names up; a migration can only change what has a known one.
NAMES = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}

metadata = MetaData(naming_convention=NAMES)


def tenant_tables() -> list[Table]:
    """Every table whose rows belong to an org, parents first; row-level security covers exactly these and `orgs`."""
    return [table for table in metadata.sorted_tables if "org_id" in table.c]


def org_id(*, nullable: bool = False) -> Column[UUID]:
    """Whose row it is. Nullable only where the platform itself owns rows too; no org sees those."""
    return Column("org_id", Uuid, nullable=nullable)


def identifier(name: str, *, nullable: bool = False) -> Column[UUID]:
    """An id that the application made, before the row existed."""
    return Column(name, Uuid, nullable=nullable)


def instant(name: str, *, nullable: bool = False, now: bool = False) -> Column[datetime]:
    """A point in time; `now` makes the database's clock its default."""
    return Column(
        name, DateTime(timezone=True), nullable=nullable, server_default=text("now()") if now else None
    )


def bounded(name: str, max_chars: int, *, nullable: bool = False) -> Column[str]:
    """Text with a limit that a migration can change without rewriting the table."""
    check = CheckConstraint(f"char_length({name}) <= {max_chars}", name=f"{name}_length")
    return Column(name, Text, check, nullable=nullable)


def names(name: str, most: int) -> Column[list[str]]:
    """A list of names with a limit of their number, empty by default."""
    check = CheckConstraint(f"cardinality({name}) <= {most}", name=f"{name}_number")
    return Column(name, ARRAY(Text), check, nullable=False, server_default=text("'{}'"))


def enumerated(name: str, *values: str, nullable: bool = False) -> Column[str]:
    """A column for one of a few words, which `column.info["values"]` lists."""
    words = ", ".join(f"'{value}'" for value in values)
    check = CheckConstraint(f"{name} IN ({words})", name=name)
    return Column(name, Text, check, nullable=nullable, info={"values": values})


def count(name: str) -> Column[int]:
    """How many; zero unless told, never less."""
    check = CheckConstraint(f"{name} >= 0", name=f"{name}_not_negative")
    return Column(name, BigInteger, check, nullable=False, server_default=text("0"))


def json_data(
    name: str, max_bytes: int, *, nullable: bool = False, default: str | None = None
) -> Column[object]:
    """JSON up to `max_bytes` of text; an absent value is SQL's NULL."""
    check = CheckConstraint(f"octet_length({name}::text) <= {max_bytes}", name=f"{name}_size")
    return Column(
        name,
        JSONB(none_as_null=nullable),
        check,
        nullable=nullable,
        server_default=text(f"'{default}'::jsonb") if default else None,
    )


def of_org(column: str = "org_id") -> ForeignKeyConstraint:
    """The row goes when its org goes."""
    return ForeignKeyConstraint([column], ["orgs.id"], ondelete="CASCADE")


def of_parent(column: str, parent: str) -> ForeignKeyConstraint:
    """The row belongs to a parent of the same org, goes when it goes and follows it to another org.

    That is the whole of a domain transfer: one UPDATE of `domain_registry.org_id` carries everything below it along.
    A table with several such parents needs a direct one to `domain_registry` as well, or parents that are all at
    the same depth: cascades run level by level, and a row is checked against all its parents one level later.
    """
    return ForeignKeyConstraint(
        ["org_id", column], [f"{parent}.org_id", f"{parent}.id"], onupdate="CASCADE", ondelete="CASCADE"
    )


def of_domain() -> ForeignKeyConstraint:
    """`of_parent` for the domain itself."""
    return of_parent("domain_id", "domain_registry")
