"""How transfer tokens are issued, listed and revoked, over plain stand-ins."""

import secrets
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from domain.domain_transfer import DomainTransfer
from domain.errors import InvalidInput, NotFound
from domain.transfer_tokens import TokenOrder, TransferTokens, token_hash

from .transfer_fakes import NOW, Desk, record

ORG, DOMAIN, RECEIVER = (UUID(int=number) for number in (1, 2, 3))


def order(**fields: object) -> TokenOrder:
    """One for the org's domain."""
    return TokenOrder.model_validate(
        {"org_id": ORG, "domain_id": DOMAIN, "issued_by": "ann", "reason": "sold", **fields}
    )


def tokens(desk: Desk) -> TransferTokens:
    """The handler."""
    return TransferTokens(transactions=desk, new_id=uuid4, new_secret=lambda: secrets.token_hex(32))


def desk() -> Desk:
    """An org with a domain."""
    return Desk(domains={DOMAIN}, receivers={RECEIVER})


@pytest.mark.parametrize("receiver", [None, RECEIVER])
def test_a_token_is_reported_once_and_kept_hashed(receiver: UUID | None) -> None:
    """What the job computes of it is what was kept; the rest of the answer does not hold it."""
    world = desk()

    issued = tokens(world).issue(order(receiver_org_id=receiver))

    plain = issued.token.get_secret_value()
    job = DomainTransfer(org_id=RECEIVER, token=issued.token, requested_by="bob")
    assert world.hashes == {token_hash(job.token): order(receiver_org_id=receiver)}
    assert world.asked == [ORG]
    assert issued.expires_at == NOW + timedelta(hours=24)
    assert len(plain) == 64
    assert plain not in repr(issued)


def test_two_tokens_differ() -> None:
    """Also for one domain."""
    world = desk()
    assert len({tokens(world).issue(order()).token.get_secret_value() for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"domain_id": RECEIVER}, f"domain {RECEIVER} not found"),
        ({"receiver_org_id": DOMAIN}, f"org {DOMAIN} not found"),
    ],
)
def test_what_is_not_there_can_be_neither_given_nor_be_a_receiver(
    fields: dict[str, object], message: str
) -> None:
    """Another org's domain is not found either."""
    world = desk()

    with pytest.raises(NotFound, match=message):
        tokens(world).issue(order(**fields))

    assert world.hashes == {}


def test_the_owner_is_no_receiver() -> None:
    """Nothing is asked of the database."""
    world = desk()

    with pytest.raises(InvalidInput, match="owns the domain already"):
        tokens(world).issue(order(receiver_org_id=ORG))

    assert world.asked == []


@pytest.mark.parametrize(
    "fields",
    [
        {"valid_for": timedelta(seconds=59)},
        {"valid_for": timedelta(days=30, seconds=1)},
        {"reason": "  "},
        {"issued_by": ""},
    ],
)
def test_an_order_has_bounds(fields: dict[str, object]) -> None:
    """A minute to 30 days; somebody, for a reason."""
    with pytest.raises(ValidationError):
        order(**fields)


def test_an_open_token_is_revoked() -> None:
    """Again is fine."""
    world = desk()
    issued = tokens(world).issue(order())

    for _ in range(2):
        revoked = tokens(world).revoke(ORG, issued.token_id, who="ann", reason="mistake")
        assert revoked.status == "revoked"
    assert [each.status for each in tokens(world).page(ORG)] == ["revoked"]


def test_a_used_token_is_not_revoked() -> None:
    """It would look as if the domain came back."""
    world = desk()
    token_id = uuid4()
    world.records[token_id] = replace(record(token_id, order()), status="used")

    with pytest.raises(InvalidInput, match="was used already"):
        tokens(world).revoke(ORG, token_id, who="ann", reason="late")


def test_another_orgs_token_is_not_found() -> None:
    """Nor is one that nobody has."""
    with pytest.raises(NotFound, match="transfer token"):
        tokens(desk()).revoke(ORG, uuid4(), who="ann", reason="none")
