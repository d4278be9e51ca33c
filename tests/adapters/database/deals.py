"""A domain about to change hands, for tests of transfers and of the tokens they take."""

import secrets
from dataclasses import dataclass
from uuid import UUID, uuid4

from pydantic import SecretStr
from sqlalchemy import Engine, RowMapping, Select, Table, func, select, update

from adapters.database.tables import (
    audit_log,
    domain_registry,
    domain_transfer_tokens,
    tenant_tables,
)
from adapters.database.transactions import SqlSystemTransactions, SqlTransactions
from adapters.database.transfer_tokens import SqlTransferTokens
from adapters.database.transfers import SqlTransfers
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from adapters.ids import uuid7
from domain.domain_transfer import (
    DomainTransfer,
    TransferDomain,
    TransferOutcome,
)
from domain.transfer_tokens import TokenOrder, TransferTokens
from tests.domain.export_fakes import Attempt

from .samples import insert_family, insert_org

Counts = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Deal:
    """A giver with two domains that have rows in every table, a receiver with one, and a token for the first."""

    engine: Engine
    giver: UUID
    receiver: UUID
    domain_id: UUID
    token: SecretStr
    token_id: UUID

    def transfer(
        self,
        *,
        org_id: UUID | None = None,
        job_id: UUID | None = None,
        engine: Engine | None = None,
        **fields: object,
    ) -> TransferOutcome:
        """One attempt at the job, the receiver's unless told."""
        run = Attempt(job_id or uuid4())
        transactions = SqlSystemTransactions(engine or self.engine, SqlTransfers, run.remaining_s)
        job = {"org_id": org_id or self.receiver, "token": self.token, "requested_by": "bob", **fields}
        return TransferDomain(run=run, transactions=transactions)(DomainTransfer.model_validate(job))

    def tokens(self) -> TransferTokens:
        """The giver's desk."""
        return tokens_of(self.engine)

    def counts(self) -> Counts:
        """Rows of every table, the giver's and the receiver's."""
        with SystemUnitOfWork(self.engine) as unit:
            return {
                table.name: (
                    unit.connection.scalar(_count(table, self.giver)) or 0,
                    unit.connection.scalar(_count(table, self.receiver)) or 0,
                )
                for table in tenant_tables()
            }

    def owner(self) -> UUID | None:
        """Whose the domain is."""
        with SystemUnitOfWork(self.engine) as unit:
            query = select(domain_registry.c.org_id).where(domain_registry.c.id == self.domain_id)
            return unit.connection.scalar(query)

    def set(self, **values: object) -> None:
        """Change the token's row."""
        with SystemUnitOfWork(self.engine) as unit:
            mine = domain_transfer_tokens.c.id == self.token_id
            unit.connection.execute(update(domain_transfer_tokens).where(mine).values(**values))

    def audited(self, org_id: UUID) -> list[RowMapping]:
        """What an org finds in its audit log about the domain, the oldest first."""
        with UnitOfWork(self.engine, org_id) as unit:
            query = select(audit_log).where(audit_log.c.target == f"domain {self.domain_id}")
            return list(unit.connection.execute(query.order_by(audit_log.c.at)).mappings())


def a_deal(engine: Engine) -> Deal:
    """Ready to be made."""
    giver, receiver = uuid4(), uuid4()
    with SystemUnitOfWork(engine) as unit:
        for org_id in (giver, receiver):
            insert_org(unit.connection, org_id)
        family = insert_family(unit.connection, giver)
        insert_family(unit.connection, giver)
        insert_family(unit.connection, receiver)
    domain_id = family["domain_registry"]["id"]
    assert isinstance(domain_id, UUID)
    order = TokenOrder(org_id=giver, domain_id=domain_id, issued_by="ann", reason="sold")
    issued = tokens_of(engine).issue(order)
    return Deal(engine, giver, receiver, domain_id, issued.token, issued.token_id)


def tokens_of(engine: Engine) -> TransferTokens:
    """Whatever org's desk."""
    transactions = SqlTransactions(engine, SqlTransferTokens, lambda: None)
    return TransferTokens(transactions=transactions, new_id=uuid7, new_secret=lambda: secrets.token_hex(32))


def _count(table: Table, org_id: UUID) -> Select[int]:
    return select(func.count()).select_from(table).where(table.c.org_id == org_id)
