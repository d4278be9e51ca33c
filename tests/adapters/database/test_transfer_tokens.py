"""Transfer tokens on the real database: kept hashed, each change of them in the audit log, once."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Engine, select, text, update

from adapters.database.engine import create_engine
from adapters.database.tables import (
    audit_log,
    domain_transfer_tokens,
)
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from domain.domain_transfer import (
    TransferTokenExpired,
)
from domain.errors import NotFound
from domain.transfer_tokens import TokenOrder
from tests.databases import Database

from .deals import Deal, a_deal, tokens_of
from .faults import LostCommits


@pytest.fixture
def deal(engine: Engine) -> Deal:
    """Ready to be made."""
    return a_deal(engine)


def test_tokens_are_listed_with_what_became_of_them(deal: Deal) -> None:
    """The org's own, by age, page by page; none holds the token or its hash."""
    order = TokenOrder(org_id=deal.giver, domain_id=deal.domain_id, issued_by="ann", reason="again")
    second, third, fourth = (deal.tokens().issue(order).token_id for _ in range(3))
    deal.tokens().revoke(deal.giver, third, who="ann", reason="mistake")
    with SystemUnitOfWork(deal.engine) as unit:
        old = domain_transfer_tokens.c.id == fourth
        unit.connection.execute(update(domain_transfer_tokens).where(old).values(expires_at=text("now()")))
    deal.transfer()

    records = deal.tokens().page(deal.giver, limit=100)

    issued = {each.token_id: each.status for each in records}
    assert (
        issued.items() >= {deal.token_id: "used", second: "open", third: "revoked", fourth: "expired"}.items()
    )
    assert deal.tokens().page(deal.giver, after=second, limit=2) == [
        each for each in records if each.token_id in (third, fourth)
    ]
    assert deal.token_id not in {each.token_id for each in deal.tokens().page(deal.receiver)}
    assert deal.token.get_secret_value() not in repr(records)


def test_a_revoked_token_is_in_the_audit_log_once(deal: Deal) -> None:
    """Revoking it again adds nothing; another org cannot."""
    with pytest.raises(NotFound):
        deal.tokens().revoke(deal.receiver, deal.token_id, who="eve", reason="no")
    for _ in range(2):
        deal.tokens().revoke(deal.giver, deal.token_id, who="ann", reason="mistake")

    with UnitOfWork(deal.engine, deal.giver) as unit:
        query = select(audit_log.c.action, audit_log.c.actor, audit_log.c.reason)
        rows = unit.connection.execute(query.where(audit_log.c.target == f"transfer token {deal.token_id}"))
        assert [tuple(row) for row in rows] == [("domain_transfer.revoke", "ann", "mistake")]
    with pytest.raises(TransferTokenExpired):
        deal.transfer()


def test_a_receiver_that_does_not_exist_gets_no_token(deal: Deal) -> None:
    """And no audit row says it did."""
    nobody = uuid4()
    order = TokenOrder(
        org_id=deal.giver, domain_id=deal.domain_id, receiver_org_id=nobody, issued_by="ann", reason="sold"
    )
    before = deal.counts()

    with pytest.raises(NotFound, match=f"org {nobody}"):
        deal.tokens().issue(order)

    assert deal.counts() == before


def test_a_token_whose_commit_was_not_answered_is_made_once(deal: Deal, database: Database) -> None:
    """One row, one line in the audit log, and it works."""
    order = TokenOrder(
        org_id=deal.giver,
        domain_id=deal.domain_id,
        receiver_org_id=deal.receiver,
        valid_for=timedelta(hours=1),
        issued_by="ann",
        reason="sold",
    )
    tokens, audited = deal.counts()["domain_transfer_tokens"][0], len(deal.audited(deal.giver))
    with LostCommits(database.worker_url, losses=1).running() as proxy:
        engine = create_engine(proxy.url)
        issued = tokens_of(engine).issue(order)
        engine.dispose()

    assert deal.counts()["domain_transfer_tokens"][0] == tokens + 1
    assert len(deal.audited(deal.giver)) == audited + 1
    assert deal.transfer(token=issued.token).status == "transferred"
