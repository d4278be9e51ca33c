"""The connection pool: one place that knows how this application talks to PostgreSQL."""

import sqlalchemy
from sqlalchemy import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError

from domain.errors import InvalidInput

#: Names under which users know PostgreSQL; the driver is our choice.
SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")


def create_engine(
    url: str,
    *,
    pool_size: int = 5,
    max_overflow: int = 5,
    pool_timeout_s: float = 10.0,
    connect_timeout_s: int = 5,
    unanswered_timeout_s: int = 30,
    application_name: str = "pressroom",
) -> Engine:
    """An engine that opens its first connection when it is first used.

    A pooled connection that went stale is noticed by the first statement on it; SQLAlchemy then drops the whole pool
    and `SqlTransactions` runs its unit of work again. So there is no ping, and no extra round trip, a checkout.

    Parameters:
        url: `postgresql://user:password@host:port/database`, as libpq takes it.
        pool_size: connections kept open. Default 5.
        max_overflow: more of them under load. Default 5.
        pool_timeout_s: how long to wait for a free one. Default 10.
        connect_timeout_s: bound on opening one. Default 5.
        unanswered_timeout_s: how long a vanished server or network can go unnoticed. Default 30.
        application_name: shown in `pg_stat_activity`. Default "pressroom".

    Raises:
        InvalidInput: the URL is not one, or not PostgreSQL's. It is not quoted: it may hold a password.

    Example:
        >>> create_engine("postgresql://pressroom_worker@localhost/pressroom").connect()
    """
    return sqlalchemy.create_engine(
        psycopg_url(url),
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=pool_timeout_s,
        # Parameters are rows of somebody's; errors and logs show statements without them.
        hide_parameters=True,
        connect_args={
            "application_name": application_name,
            "connect_timeout": connect_timeout_s,
            "tcp_user_timeout": unanswered_timeout_s * 1000,
            "keepalives_idle": unanswered_timeout_s,
            "options": "-c TimeZone=UTC",
        },
    )


def psycopg_url(url: str) -> URL:
    """The URL with the driver that this application uses.

    Raises:
        InvalidInput: as `create_engine`.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise InvalidInput(
            "the database URL cannot be read; write postgresql://user:password@host:port/database, with special "
            "characters in the password percent-encoded"
        ) from None
    if parsed.drivername not in SCHEMES:
        raise InvalidInput(f"the database must be PostgreSQL (postgresql://...), not {parsed.drivername}://")
    return parsed.set(drivername="postgresql+psycopg")
