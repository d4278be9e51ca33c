"""Tokens and domains, as plain as can be: all of a transaction is kept or nothing."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID, uuid4

from domain.domain_transfer import DomainTransfer, HeldDomain, HeldToken, TransferRepository
from domain.transfer_tokens import TokenOrder, TokenRecord, TokenRepository

T = TypeVar("T")

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


@dataclass
class Registry:
    """`SystemTransactions` and `TransferRepository` at once."""

    orgs: set[UUID] = field(default_factory=set)
    #: By owner and id.
    domains: dict[tuple[UUID, UUID], HeldDomain] = field(default_factory=dict)
    #: By hash.
    tokens: dict[bytes, HeldToken] = field(default_factory=dict)
    moves: list[tuple[UUID, DomainTransfer]] = field(default_factory=list)
    #: Another transaction that was overlooked takes the token first.
    loses: bool = False

    def __call__(self, work: Callable[[TransferRepository], T], *, timeout_s: float = 30.0) -> T:
        before = deepcopy((self.domains, self.tokens, self.moves))
        try:
            return work(self)
        except Exception:
            self.domains, self.tokens, self.moves = before
            raise

    def hold_token(self, hashed: bytes) -> HeldToken | None:
        return self.tokens.get(hashed)

    def hold_domain(self, org_id: UUID, domain_id: UUID) -> HeldDomain | None:
        return self.domains.get((org_id, domain_id))

    def org_exists(self, org_id: UUID) -> bool:
        return org_id in self.orgs

    def use(self, token: HeldToken, job_id: UUID) -> bool:
        (hashed,) = (hashed for hashed, each in self.tokens.items() if each == token)
        self.tokens[hashed] = replace(token, is_used=True, used_by=str(job_id))
        return not self.loses

    def move(self, token: HeldToken, domain_id: UUID, job: DomainTransfer) -> datetime | None:
        domain = self.domains.pop((token.org_id, domain_id))
        if any(owner == job.org_id and each.host == domain.host for (owner, _), each in self.domains.items()):
            return None
        self.domains[job.org_id, domain_id] = replace(
            domain, transferred_at=NOW, transferred_from=token.org_id
        )
        self.moves.append((domain_id, job))
        return NOW


@dataclass
class Desk:
    """One org's tokens: `Transactions` and `TokenRepository` at once."""

    domains: set[UUID] = field(default_factory=set)
    receivers: set[UUID] = field(default_factory=set)
    records: dict[UUID, TokenRecord] = field(default_factory=dict)
    hashes: dict[bytes, TokenOrder] = field(default_factory=dict)
    asked: list[UUID] = field(default_factory=list)

    def __call__(self, org_id: UUID, work: Callable[[TokenRepository], T], *, timeout_s: float = 30.0) -> T:
        self.asked.append(org_id)
        return work(self)

    def has_domain(self, domain_id: UUID) -> bool:
        return domain_id in self.domains

    def add(self, token_id: UUID, hashed: bytes, order: TokenOrder) -> datetime | None:
        if order.receiver_org_id is not None and order.receiver_org_id not in self.receivers:
            return None
        self.hashes[hashed] = order
        self.records[token_id] = record(token_id, order)
        return NOW + order.valid_for

    def page(self, after: UUID | None, limit: int) -> list[TokenRecord]:
        return list(self.records.values())[:limit]

    def revoke(self, token_id: UUID, who: str, reason: str) -> TokenRecord | None:
        found = self.records.get(token_id)
        if found is not None and found.status == "open":
            self.records[token_id] = found = replace(found, status="revoked")
        return found


def record(token_id: UUID, order: TokenOrder) -> TokenRecord:
    """An open token."""
    return TokenRecord(
        token_id=token_id,
        domain_id=order.domain_id,
        receiver_org_id=order.receiver_org_id,
        issued_by=order.issued_by,
        created_at=NOW,
        expires_at=NOW + timedelta(hours=24),
        used_at=None,
        status="open",
    )


def held(org_id: UUID, **fields: object) -> HeldToken:
    """An open token of the org's, for whoever has it."""
    token = HeldToken(
        token_id=uuid4(),
        org_id=org_id,
        domain_id=None,
        receiver_org_id=None,
        is_expired=False,
        used_by=None,
        is_used=False,
    )
    return replace(token, **fields)  # type: ignore[arg-type]
