"""Transfer tokens: whoever presents one may take a domain over. They are credentials, and are kept hashed."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal, Protocol
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from .contract import NO_NUL, Model
from .errors import InvalidInput, NotFound
from .ports import NewId, Transactions

#: Characters of a token, trimmed. Those that we issue have 64.
MIN_TOKEN_CHARS = 10
MAX_TOKEN_CHARS = 512
#: How long a token works, at least and at most.
MIN_VALIDITY = timedelta(minutes=1)
MAX_VALIDITY = timedelta(days=30)


def _as_issued(token: SecretStr) -> SecretStr:
    plain = token.get_secret_value().strip().lower()
    if not MIN_TOKEN_CHARS <= len(plain) <= MAX_TOKEN_CHARS:
        raise ValueError(f"a transfer token has {MIN_TOKEN_CHARS} to {MAX_TOKEN_CHARS} characters")
    return SecretStr(plain)


#: A token as its holder copied it: trimmed and lower-cased, hidden wherever it is shown.
TransferToken = Annotated[
    SecretStr,
    AfterValidator(_as_issued),
    Field(json_schema_extra={"minLength": MIN_TOKEN_CHARS, "maxLength": MAX_TOKEN_CHARS}),
]

#: Who does something: a person or a program.
Who = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=NO_NUL)]
#: Why.
Why = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=NO_NUL)]


def token_hash(token: SecretStr) -> bytes:
    """What is kept of a token, and looked up by.

    A fast hash will do: a token is 256 random bits, so that nobody tries them all, whatever one try costs. Slow,
    salted hashes are for what people choose, and could not be looked up by.

    Example:
        >>> len(token_hash(SecretStr("a" * 64)))
        32
    """
    return hashlib.sha256(token.get_secret_value().encode("utf-8", "surrogatepass")).digest()


class TokenOrder(Model):
    """What a token is to be good for."""

    org_id: UUID
    """The org that owns the domain."""
    domain_id: UUID
    receiver_org_id: UUID | None = None
    """The org that alone may use it. Without it, whoever has the token may: keep it like a key."""
    valid_for: timedelta = Field(default=timedelta(hours=24), ge=MIN_VALIDITY, le=MAX_VALIDITY)
    """How long it works: a minute to 30 days."""
    issued_by: Who
    reason: Why


@dataclass(frozen=True, kw_only=True)
class IssuedToken:
    """A token that was just made. It is shown this once: nobody can find it out again."""

    token_id: UUID
    token: SecretStr
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class TokenRecord:
    """What is known of a token afterwards."""

    token_id: UUID
    domain_id: UUID | None
    receiver_org_id: UUID | None
    issued_by: str | None
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    status: Literal["open", "used", "expired", "revoked"]


class TokenRepository(Protocol):
    """The tokens of an org, within one transaction. Whatever it changes it also writes into the audit log."""

    def has_domain(self, domain_id: UUID) -> bool:
        """True if the org owns this domain."""

    def add(self, token_id: UUID, hashed: bytes, order: TokenOrder) -> datetime | None:
        """Keep a token; when it expires. None when there is no such receiver. Nothing new when it is there already."""

    def page(self, after: UUID | None, limit: int) -> list[TokenRecord]:
        """Tokens by id, which is by age, those after `after`."""

    def revoke(self, token_id: UUID, who: str, reason: str) -> TokenRecord | None:
        """Make an open token unusable; how it is afterwards. None when there is none."""


@dataclass(frozen=True, kw_only=True)
class TransferTokens:
    """Issues, lists and revokes tokens of one org.

    Parameters:
        transactions: units of work over the org's tokens.
        new_id: identifiers of tokens.
        new_secret: makes the tokens: lower-case text of 256 random bits, like `secrets.token_hex(32)`.

    Example:
        >>> TransferTokens(transactions=db, new_id=uuid7, new_secret=lambda: secrets.token_hex(32)).issue(order)
    """

    transactions: Transactions[TokenRepository]
    new_id: NewId
    new_secret: Callable[[], str]

    def issue(self, order: TokenOrder) -> IssuedToken:
        """Make a token.

        Raises:
            NotFound: the org has no such domain, or there is no such receiver.
            InvalidInput: the receiver is the org itself.
            DatabaseUnavailable: the transaction failed, also when repeated.
        """
        if order.receiver_org_id == order.org_id:
            raise InvalidInput("the receiver owns the domain already; name another org, or none")
        # Both before the transaction, so that it can be repeated.
        token_id, token = self.new_id(), SecretStr(self.new_secret())
        expires_at = self.transactions(order.org_id, lambda tokens: _add(tokens, token_id, token, order))
        return IssuedToken(token_id=token_id, token=token, expires_at=expires_at)

    def page(self, org_id: UUID, *, after: UUID | None = None, limit: int = 100) -> list[TokenRecord]:
        """The org's tokens by age, those after `after`, at most `limit` (default 100)."""
        return self.transactions(org_id, lambda tokens: tokens.page(after, limit))

    def revoke(self, org_id: UUID, token_id: UUID, *, who: str, reason: str) -> TokenRecord:
        """Make a token unusable, now; one that is revoked or expired already is fine.

        Raises:
            NotFound: the org has no such token.
            InvalidInput: it was used; the domain is gone.
        """
        found = self.transactions(org_id, lambda tokens: tokens.revoke(token_id, who, reason))
        if found is None:
            raise NotFound("transfer token", token_id)
        if found.status == "used":
            raise InvalidInput(
                f"transfer token {token_id} was used already; ask the receiver for the domain back"
            )
        return found


def _add(tokens: TokenRepository, token_id: UUID, token: SecretStr, order: TokenOrder) -> datetime:
    if not tokens.has_domain(order.domain_id):
        raise NotFound("domain", order.domain_id)
    expires_at = tokens.add(token_id, token_hash(token), order)
    if expires_at is None:
        raise NotFound("org", order.receiver_org_id)
    return expires_at
