"""The engine: URLs as users write them, sessions as the platform wants them."""

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DataError

from adapters.database.engine import create_engine, psycopg_url
from domain.errors import InvalidInput
from tests.databases import Database


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_urls_get_our_driver(scheme: str) -> None:
    """Whatever a user calls PostgreSQL, the driver is psycopg 3."""
    url = psycopg_url(f"{scheme}://me:s%40crt@db.example:5433/pressroom?sslmode=require")
    assert url.render_as_string(hide_password=False) == (
        "postgresql+psycopg://me:s%40crt@db.example:5433/pressroom?sslmode=require"
    )


@pytest.mark.parametrize(
    "url", ["mysql://me:s3cret@host/db", "s3cret", "postgresql://me:s3cret@host:port/db"]
)
def test_other_urls_are_refused_without_their_password(url: str) -> None:
    """A URL that is not PostgreSQL's is refused, and not quoted."""
    with pytest.raises(InvalidInput, match=r"postgresql://") as refused:
        create_engine(url)
    assert "s3cret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_sessions_say_who_they_are_and_use_utc(database: Database) -> None:
    """A session shows its application's name and counts days in UTC."""
    engine = create_engine(database.worker_url, application_name="a test")
    query = text("SELECT current_setting('application_name'), current_setting('TimeZone')")
    with engine.connect() as connection:
        assert connection.execute(query).one() == ("a test", "UTC")
    engine.dispose()


def test_errors_show_no_parameters(engine: Engine) -> None:
    """SQLAlchemy's own text about a failed statement has none of the statement's parameters."""
    with pytest.raises(DataError, match="parameters hidden") as refused, engine.connect() as connection:
        connection.execute(text("SELECT 1 / 0 WHERE :name <> ''"), {"name": "s3cret"})
    assert "s3cret" not in str(refused.value)
