"""Wires `domain_transfer`, and the tokens it takes."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from adapters.database.engine import create_engine
from adapters.database.transactions import SqlSystemTransactions, SqlTransactions
from adapters.database.transfer_tokens import SqlTransferTokens
from adapters.database.transfers import SqlTransfers
from adapters.ids import uuid7
from app.settings import Settings, SettingsError
from domain.domain_transfer import DomainTransfer, TransferDomain, TransferOutcome
from domain.transfer_tokens import TransferTokens

from .run import GuardedRun

#: Random bytes in a token; in it they are twice as many characters, none of them a capital.
TOKEN_BYTES = 32
#: Connections of a command line, which does one thing at a time.
POOL_SIZE = 1


def domain_transfer(engine: Engine) -> Callable[[DomainTransfer], TransferOutcome]:
    """The handler, as the system role: it moves rows from one org to another."""

    def handle(job: DomainTransfer) -> TransferOutcome:
        run = GuardedRun()
        transactions = SqlSystemTransactions(engine, SqlTransfers, run.remaining_s)
        return TransferDomain(run=run, transactions=transactions)(job)

    return handle


@contextmanager
def transfer_tokens(settings: Settings) -> Iterator[TransferTokens]:
    """Issues, lists and revokes tokens, for as long as the block lasts.

    Raises:
        SettingsError: no database is named and no `up` is running.
    """
    if settings.database_url is None:
        raise SettingsError("no database: set DATABASE_URL, or start `python -m app up`")
    engine = create_engine(settings.database_url.get_secret_value(), pool_size=POOL_SIZE)
    try:
        yield TransferTokens(
            transactions=SqlTransactions(engine, SqlTransferTokens, lambda: None),
            new_id=uuid7,
            new_secret=lambda: secrets.token_hex(TOKEN_BYTES),
        )
    finally:
        engine.dispose()
