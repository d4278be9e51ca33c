"""Domain transfers on the real database: all or nothing, once, and every row accounted for."""

import hashlib
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, func, select, text, update

from adapters.database.engine import create_engine
from adapters.database.tables import (
    content_items,
    domain_registry,
    domain_transfer_tokens,
    orgs,
    publish_intents,
    publish_targets,
    tenant_tables,
)
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from domain.domain_transfer import (
    HostTaken,
    TransferToAnotherOrg,
    TransferTokenExpired,
    TransferTokenIncomplete,
    TransferTokenUnknown,
    TransferTokenUsed,
)
from domain.errors import JobError, NotFound
from domain.transfer_tokens import TokenOrder
from tests.databases import Database

from .deals import Deal, a_deal
from .faults import LostCommits
from .samples import insert_org
from .test_domain_transfer import STAYS


@pytest.fixture
def deal(engine: Engine) -> Deal:
    """Ready to be made."""
    return a_deal(engine)


def test_every_row_is_accounted_for(deal: Deal) -> None:
    """Of every table, what is below the domain goes, all else stays, and nothing is lost; two audit rows are added."""
    before = deal.counts()

    outcome = deal.transfer()

    assert (outcome.status, outcome.domain_id, outcome.transferred_from) == (
        "transferred",
        deal.domain_id,
        deal.giver,
    )
    moved = {name: (mine - 1, theirs + 1) for name, (mine, theirs) in before.items() if name not in STAYS}
    stayed = {name: counts for name, counts in before.items() if name in STAYS}
    mine, theirs = before["audit_log"]
    assert deal.counts() == {**moved, **stayed, "audit_log": (mine + 1, theirs + 1)}
    assert deal.owner() == deal.receiver


def test_both_orgs_find_it_in_their_audit_logs(deal: Deal) -> None:
    """Who asked, by which token, what was stopped; the receiver's own metadata is the receiver's."""
    deal.transfer(metadata={"ticket": 12})

    issued, given = deal.audited(deal.giver)
    (received,) = deal.audited(deal.receiver)
    assert (issued["action"], issued["actor"], issued["reason"]) == ("domain_transfer.issue", "ann", "sold")
    assert (given["action"], received["action"]) == ("domain.given", "domain.received")
    for row in (given, received):
        assert (row["actor"], row["reason"]) == ("bob", f"transfer token {deal.token_id}")
        assert row["before"] == {"org_id": str(deal.giver)}
        assert row["after"].items() >= {"org_id": str(deal.receiver), "targets_disabled": 1}.items()
    assert "metadata" not in given["after"]
    assert received["after"]["metadata"] == {"ticket": 12}


def test_nothing_acts_for_the_former_owner_any_more(deal: Deal) -> None:
    """Targets are disabled, open intents cancelled and content in flight fails; those of other domains go on."""
    with SystemUnitOfWork(deal.engine) as unit:
        unit.connection.execute(
            update(content_items).where(content_items.c.org_id == deal.giver).values(status="publishing")
        )

    deal.transfer()

    with SystemUnitOfWork(deal.engine) as unit:
        for table, moved, others in (
            (publish_targets.c.enabled, False, True),
            (publish_intents.c.status, "cancelled", "pending"),
            (content_items.c.status, "failed", "publishing"),
        ):
            rows = unit.connection.execute(
                select(table.table.c.domain_id, table).where(
                    table.table.c.org_id.in_((deal.giver, deal.receiver))
                )
            )
            found = {domain_id == deal.domain_id: value for domain_id, value in rows if value != "draft"}
            assert found == {True: moved, False: others}


def test_two_orgs_race_for_one_token_and_one_wins(deal: Deal) -> None:
    """The other is told that it is used; the rows are where the winner is, each once."""
    rival = uuid4()
    with SystemUnitOfWork(deal.engine) as unit:
        insert_org(unit.connection, rival)
    before = sum(sum(counts) for name, counts in deal.counts().items() if name != "audit_log")
    together = threading.Barrier(2)

    def attempt(org_id: UUID) -> str:
        together.wait()
        try:
            return deal.transfer(org_id=org_id).status
        except TransferTokenUsed as error:
            return type(error).__name__

    with ThreadPoolExecutor(2) as pool:
        ends = dict(zip((deal.receiver, rival), pool.map(attempt, (deal.receiver, rival)), strict=True))

    assert Counter(ends.values()) == {"transferred": 1, "TransferTokenUsed": 1}
    (winner,) = (org_id for org_id, end in ends.items() if end == "transferred")
    assert deal.owner() == winner
    assert len(deal.audited(deal.receiver)) + len(deal.audited(rival)) == 1
    after = sum(sum(counts) for name, counts in deal.counts().items() if name != "audit_log")
    moved = len(tenant_tables()) - len(STAYS)
    assert after == before - (moved if winner == rival else 0)


def test_a_commit_whose_answer_was_lost_is_recognised(deal: Deal, database: Database) -> None:
    """The unit is run again, finds its own work, and says `transferred`; the audit log tells it once."""
    with LostCommits(database.worker_url, losses=1).running() as proxy:
        engine = create_engine(proxy.url)
        outcome = deal.transfer(engine=engine)
        engine.dispose()

    assert (outcome.status, deal.owner()) == ("transferred", deal.receiver)
    assert len(deal.audited(deal.receiver)) == 1


def test_a_job_delivered_again_changes_nothing(deal: Deal) -> None:
    """Its answer is the same to the letter; another job's is that the token is used."""
    job_id = uuid4()
    first = deal.transfer(job_id=job_id)
    before = deal.counts()

    assert deal.transfer(job_id=job_id) == first
    with pytest.raises(TransferTokenUsed):
        deal.transfer()

    assert deal.counts() == before


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"expires_at": text("now()")}, TransferTokenExpired),
        ({"used_at": text("now()")}, TransferTokenUsed),
        ({"domain_id": None}, TransferTokenIncomplete),
        ({"domain_id": UUID(int=1)}, TransferTokenIncomplete),
        ({"token_hash": hashlib.sha256(uuid4().bytes).digest()}, TransferTokenUnknown),
    ],
)
def test_a_token_that_cannot_be_used_moves_nothing(
    deal: Deal, change: dict[str, object], error: type[JobError]
) -> None:
    """Each for its own reason."""
    deal.set(**change)
    before = deal.counts()

    with pytest.raises(error):
        deal.transfer()

    assert (deal.owner(), deal.counts()) == (deal.giver, before)


def test_a_token_may_name_its_receiver(deal: Deal) -> None:
    """For anybody else it is another org's; a receiver that is no org is not found, and uses nothing up."""
    rival = uuid4()
    with SystemUnitOfWork(deal.engine) as unit:
        insert_org(unit.connection, rival)
    with pytest.raises(NotFound, match="org"):
        deal.transfer(org_id=uuid4())
    deal.set(receiver_org_id=deal.receiver)

    with pytest.raises(TransferToAnotherOrg):
        deal.transfer(org_id=rival)

    assert deal.transfer().status == "transferred"


def test_a_host_that_is_taken_leaves_the_token_as_it_was(deal: Deal) -> None:
    """Until the receiver has made room."""
    with SystemUnitOfWork(deal.engine) as unit:
        mine = domain_registry.c.id == deal.domain_id
        host = unit.connection.scalar(select(domain_registry.c.host).where(mine))
        theirs = domain_registry.c.org_id == deal.receiver
        unit.connection.execute(update(domain_registry).where(theirs).values(host=host))
    before = deal.counts()

    with pytest.raises(HostTaken, match=str(host)):
        deal.transfer()
    assert (deal.owner(), deal.counts()) == (deal.giver, before)

    with SystemUnitOfWork(deal.engine) as unit:
        unit.connection.execute(update(domain_registry).where(theirs).values(host="elsewhere.example"))
    assert deal.transfer().status == "transferred"


def test_a_domain_that_was_given_by_one_token_is_out_of_reach_of_another(deal: Deal) -> None:
    """The former owner's other tokens lead nowhere, also when they name the same domain."""
    order = TokenOrder(org_id=deal.giver, domain_id=deal.domain_id, issued_by="ann", reason="sold twice")
    other = deal.tokens().issue(order)
    deal.transfer()

    with pytest.raises(TransferTokenIncomplete):
        deal.transfer(token=other.token)

    assert deal.owner() == deal.receiver


def test_a_transfer_that_waits_for_a_revocation_comes_too_late(deal: Deal) -> None:
    """Although it began while the token was good."""
    with ThreadPoolExecutor(1) as other:
        with UnitOfWork(deal.engine, deal.giver) as unit:
            # Held first, so that the transfer is older than what revokes.
            hold = select(domain_transfer_tokens.c.id).where(domain_transfer_tokens.c.id == deal.token_id)
            unit.connection.execute(hold.with_for_update())
            transferring = other.submit(deal.transfer)
            _until_it_waits(deal.engine, transferring)
            unit.connection.execute(
                update(domain_transfer_tokens)
                .where(domain_transfer_tokens.c.id == deal.token_id)
                .values(expires_at=func.clock_timestamp())
            )
        with pytest.raises(TransferTokenExpired):
            transferring.result()

    assert deal.owner() == deal.giver


def test_the_token_itself_is_nowhere_in_the_database(deal: Deal) -> None:
    """Of any table, after it was issued and used."""
    deal.transfer(metadata={"ticket": 12})

    with SystemUnitOfWork(deal.engine) as unit:
        for table in (*tenant_tables(), orgs):
            owned = table.c.org_id.in_((deal.giver, deal.receiver)) if "org_id" in table.c else text("true")
            rows = unit.connection.execute(select(table).where(owned)).all()
            assert deal.token.get_secret_value() not in repr(rows), table.name


def _until_it_waits(engine: Engine, work: Future[Any]) -> None:
    """Until a session of this database waits for a lock; fails when what should wait is over."""
    waits = text(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() "
        "AND wait_event_type = 'Lock')"
    )
    with engine.connect() as connection:
        while not connection.scalar(waits):
            assert not work.done(), work.exception()
            connection.rollback()
