"""`domain_transfer`, killed after each step."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from pydantic import SecretStr
from sqlalchemy import Table

from adapters.database.tables import (
    audit_log,
    content_items,
    domain_registry,
    domain_settings,
    domain_transfer_tokens,
    experiments,
)
from domain.transfer_tokens import token_hash
from tests.crash.kill_kit import Case, Slot, kill_everywhere
from tests.crash.seeds import counts, new_domain, new_org, put, rows

MOVED: tuple[Table, ...] = (domain_registry, domain_settings, content_items, experiments)


def test_a_domain_moves_whole_and_once(worlds: Sequence[Slot]) -> None:
    """All rows are the giver's and the token works, or all are the receiver's and it is used; afterwards the latter."""
    steps = kill_everywhere(worlds, "domain_transfer", _prepare)

    assert steps.count("Connection.commit") >= 1
    assert len(steps) > 10


def _prepare(world: Slot) -> Case:
    engine = world.engine
    giver, receiver = new_org(engine), new_org(engine)
    domain_id, token = new_domain(engine, giver), secrets.token_hex(32)
    mine = {"org_id": giver, "domain_id": domain_id}
    put(engine, domain_settings, {**mine, "name": "language", "value": "en"})
    item = {"title": "An item", "content_type": "article", "status": "draft"}
    put(engine, content_items, *({**mine, **item, "id": uuid4()} for _ in range(3)))
    put(engine, experiments, {**mine, "id": uuid4(), "name": "A", "status": "draft"})
    put(
        engine,
        domain_transfer_tokens,
        {
            **mine,
            "id": uuid4(),
            "token_hash": token_hash(SecretStr(token)),
            "receiver_org_id": receiver,
            "issued_by": "a test",
            "expires_at": datetime.now(UTC) + timedelta(hours=1),
        },
    )
    everything = counts(engine, MOVED, giver)
    nothing = dict.fromkeys(everything, 0)

    def state() -> tuple[dict[str, int], dict[str, int], bool, int]:
        (kept,) = rows(engine, domain_transfer_tokens, domain_transfer_tokens.c.org_id == giver)
        reported = rows(engine, audit_log, audit_log.c.org_id.in_((giver, receiver)))
        return (
            counts(engine, MOVED, giver),
            counts(engine, MOVED, receiver),
            kept["used_at"] is not None,
            len(reported),
        )

    before, after = (everything, nothing, False, 0), (nothing, everything, True, 2)

    def half_way() -> None:
        assert state() in (before, after), state()

    def afterwards() -> None:
        assert state() == after

    return Case({"org_id": str(receiver), "token": token, "requested_by": "a test"}, half_way, afterwards)
