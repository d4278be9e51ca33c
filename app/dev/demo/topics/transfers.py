"""A domain that one org sells to another, with everything below it."""

import secrets
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

from pydantic import SecretStr
from sqlalchemy import delete, func, insert, select

from actors import domain_transfer
from adapters.database.tables import content_items, domain_registry, domain_settings, domain_transfer_tokens
from adapters.database.unit_of_work import SystemUnitOfWork
from app.dev.demo.seed import Site
from app.dev.demo.sent import Left, Sent, Stage, sent
from domain.domain_transfer import DomainTransfer
from domain.transfer_tokens import token_hash

HOST = "for-sale.delta.example"
ARTICLES = 3


def send(stage: Stage) -> list[Sent]:
    """The last org sells a third domain of its to the first one."""
    seller, buyer = stage.sites[-1], stage.sites[0]
    domain_id, token = uuid4(), SecretStr(secrets.token_hex(32))
    with SystemUnitOfWork(stage.engine) as unit:
        write = unit.connection.execute
        # What an earlier demo sold.
        write(delete(domain_registry).where(domain_registry.c.host == HOST))
        mine = {"org_id": seller.org_id, "domain_id": domain_id}
        write(insert(domain_registry).values(org_id=seller.org_id, id=domain_id, host=HOST))
        write(insert(domain_settings).values(**mine, name="language", value="en"))
        for article in seller.articles[:ARTICLES]:
            row = {**mine, "id": uuid4(), "title": article.title, "body": article.body}
            write(insert(content_items).values({**row, "content_type": "article", "status": "draft"}))
        write(
            insert(domain_transfer_tokens).values(
                **mine,
                id=uuid4(),
                token_hash=token_hash(token),
                receiver_org_id=buyer.org_id,
                issued_by="the demo",
                expires_at=stage.now + timedelta(hours=1),
            )
        )
    job = DomainTransfer(org_id=buyer.org_id, token=token, requested_by="the demo")
    look: Callable[[], Left] = partial(_look, stage, seller, buyer, domain_id)
    return [sent(domain_transfer.send(job), buyer, f"take over {HOST}", look)]


def _look(stage: Stage, seller: Site, buyer: Site, domain_id: UUID) -> Left:
    found = {}
    with SystemUnitOfWork(stage.engine) as unit:
        for site in (seller, buyer):
            for table, column in (
                (domain_registry, domain_registry.c.id),
                (domain_settings, domain_settings.c.domain_id),
                (content_items, content_items.c.domain_id),
            ):
                query = select(func.count()).select_from(table)
                query = query.where(table.c.org_id == site.org_id, column == domain_id)
                found[site.org, table.name] = unit.connection.scalar(query) or 0
    moved = [found[buyer.org, name] for name in ("domain_registry", "domain_settings", "content_items")]
    left = sum(found[seller.org, name] for name in ("domain_registry", "domain_settings", "content_items"))
    right = moved == [1, 1, ARTICLES] and not left
    fault = "" if right else f"{moved} rows have moved, {left} are left with {seller.org}"
    return Left(count=sum(moved), where="domain_registry and what is below it", fault=fault)
