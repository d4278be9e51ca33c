"""What the job `domain_transfer` promises, over plain stand-ins for its ports."""

from dataclasses import replace
from uuid import uuid4

import pytest
from pydantic import SecretStr, ValidationError

from domain.domain_transfer import (
    DomainTransfer,
    HeldDomain,
    HostTaken,
    TransferDomain,
    TransferOutcome,
    TransferToAnotherOrg,
    TransferTokenExpired,
    TransferTokenIncomplete,
    TransferTokenUnknown,
    TransferTokenUsed,
    TransferToOwner,
)
from domain.errors import Cancelled, JobError, NotFound, PermanentError
from domain.transfer_tokens import token_hash

from .export_fakes import Attempt
from .transfer_fakes import NOW, Registry, held

GIVER, RECEIVER, DOMAIN = uuid4(), uuid4(), uuid4()
TOKEN = "0f" * 32
HASH = token_hash(SecretStr(TOKEN))


def registry(**token: object) -> Registry:
    """The giver's domain, and a token for it."""
    return Registry(
        orgs={GIVER, RECEIVER},
        domains={(GIVER, DOMAIN): HeldDomain(host="a.example", transferred_at=None, transferred_from=None)},
        tokens={HASH: held(GIVER, **{"domain_id": DOMAIN, **token})},
    )


def job(**fields: object) -> DomainTransfer:
    """The receiver's."""
    return DomainTransfer.model_validate(
        {"org_id": RECEIVER, "token": TOKEN, "requested_by": "ann", **fields}
    )


def transfer(world: Registry, job: DomainTransfer, run: Attempt | None = None) -> TransferOutcome:
    """One attempt."""
    return TransferDomain(run=run or Attempt(uuid4()), transactions=world)(job)


def test_a_domain_becomes_the_receivers() -> None:
    """Its token is used, by this job."""
    world, run = registry(), Attempt(uuid4())

    outcome = transfer(world, job(metadata={"ticket": 12}), run)

    assert outcome == TransferOutcome(
        status="transferred",
        domain_id=DOMAIN,
        host="a.example",
        transferred_from=GIVER,
        transferred_at=NOW,
    )
    assert list(world.domains) == [(RECEIVER, DOMAIN)]
    assert (world.tokens[HASH].is_used, world.tokens[HASH].used_by) == (True, str(run.job_id))
    assert run.percents == [100]


def test_a_job_that_comes_again_says_the_same() -> None:
    """Its worker died after the commit: it finds its own work, and nothing moves twice."""
    world, run = registry(receiver_org_id=RECEIVER), Attempt(uuid4())

    assert transfer(world, job(), run) == transfer(world, job(), run)

    assert len(world.moves) == 1


def test_another_job_with_the_same_token_is_too_late() -> None:
    """Whoever sent it."""
    world = registry()
    other = uuid4()
    world.orgs.add(other)
    transfer(world, job())

    for org_id in (RECEIVER, other):
        with pytest.raises(TransferTokenUsed, match="works once"):
            transfer(world, job(org_id=org_id))


def test_a_job_that_comes_again_after_the_domain_has_moved_on_is_reported_so() -> None:
    """It does not say that the domain is there."""
    world, run = registry(), Attempt(uuid4())
    transfer(world, job(), run)

    gone = world.domains.pop((RECEIVER, DOMAIN))
    with pytest.raises(TransferTokenUsed):
        transfer(world, job(), run)
    world.domains[RECEIVER, DOMAIN] = replace(gone, transferred_from=uuid4())
    with pytest.raises(TransferTokenUsed):
        transfer(world, job(), run)


@pytest.mark.parametrize(
    ("token", "error"),
    [
        ({"is_expired": True}, TransferTokenExpired),
        ({"is_used": True, "used_by": str(uuid4())}, TransferTokenUsed),
        ({"is_used": True, "used_by": None}, TransferTokenUsed),
        ({"domain_id": None}, TransferTokenIncomplete),
        ({"domain_id": uuid4()}, TransferTokenIncomplete),
        ({"receiver_org_id": uuid4()}, TransferToAnotherOrg),
        ({"receiver_org_id": uuid4(), "is_used": True, "is_expired": True}, TransferToAnotherOrg),
    ],
)
def test_a_token_that_cannot_be_used_says_why(token: dict[str, object], error: type[JobError]) -> None:
    """Each reason is an error of its own, final, with what to do; nothing moves, no token is told."""
    world = registry(**token)

    with pytest.raises(error) as caught:
        transfer(world, job())

    assert type(caught.value) is error
    _changes_nothing(world, registry(**token), caught.value)


def test_a_token_that_nobody_issued_is_not_found() -> None:
    """In words that do not repeat it."""
    world = registry()

    with pytest.raises(TransferTokenUnknown) as caught:
        transfer(world, job(token="never-issued-by-anybody"))

    assert isinstance(caught.value, NotFound)
    assert "never-issued" not in str(caught.value)
    assert list(world.domains) == [(GIVER, DOMAIN)]


def test_a_host_that_the_receiver_has_already_uses_no_token() -> None:
    """Once that one is away, the same token works."""
    world = registry()
    taken = (RECEIVER, uuid4())
    world.domains[taken] = world.domains[GIVER, DOMAIN]

    with pytest.raises(HostTaken, match=r"a\.example already; remove or rename"):
        transfer(world, job())
    assert not world.tokens[HASH].is_used
    assert (GIVER, DOMAIN) in world.domains

    del world.domains[taken]
    assert transfer(world, job()).status == "transferred"


def test_the_owner_cannot_take_its_own_domain() -> None:
    """The token still works for others."""
    world = registry()

    with pytest.raises(TransferToOwner):
        transfer(world, job(org_id=GIVER))

    assert transfer(world, job()).status == "transferred"


def test_a_receiver_that_does_not_exist_is_not_found() -> None:
    """The token still works."""
    world = registry()
    world.orgs.remove(RECEIVER)

    with pytest.raises(NotFound, match=f"org {RECEIVER} not found"):
        transfer(world, job())

    assert not world.tokens[HASH].is_used


def test_a_token_that_was_taken_in_the_last_moment_moves_nothing() -> None:
    """Compare-and-set has the last word, whatever was read before."""
    world = registry()
    world.loses = True

    with pytest.raises(TransferTokenUsed):
        transfer(world, job())

    assert list(world.domains) == [(GIVER, DOMAIN)]


def test_a_cancelled_job_begins_nothing() -> None:
    """It stops before the transaction."""
    world = registry()

    with pytest.raises(Cancelled):
        transfer(world, job(), Attempt(uuid4(), stop_at=1, stop_with=Cancelled("stop")))

    assert not world.tokens[HASH].is_used


@pytest.mark.parametrize("written", [f"  {TOKEN.upper()}\n", TOKEN])
def test_space_and_capitals_of_a_token_do_not_matter(written: str) -> None:
    """People copy them."""
    assert job(token=written).token == SecretStr(TOKEN)


@pytest.mark.parametrize("token", ["123456789", "  12345678  ", "x" * 513, ""])
def test_a_token_of_a_wrong_length_is_refused_and_not_reported(token: str) -> None:
    """At least 10 characters after trimming, at most 512."""
    with pytest.raises(ValidationError, match="10 to 512 characters") as caught:
        job(token=token)

    assert not token.strip() or token.strip() not in str(caught.value).replace("10 to 512", "")


@pytest.mark.parametrize("fields", [{"requested_by": ""}, {"requested_by": "x" * 257}, {"more": 1}])
def test_what_the_job_does_not_know_is_refused(fields: dict[str, object]) -> None:
    """So are names that the audit log cannot hold."""
    with pytest.raises(ValidationError):
        job(**fields)


def test_a_token_is_hidden_wherever_a_job_is_shown() -> None:
    """In its text, its JSON and its errors."""
    shown = job()

    assert TOKEN not in f"{shown!r} {shown} {shown.model_dump()} {shown.model_dump_json()}"


def _changes_nothing(world: Registry, before: Registry, error: JobError) -> None:
    assert isinstance(error, PermanentError)
    assert not error.retryable
    assert TOKEN not in str(error)
    assert list(world.domains) == list(before.domains)
    (after,) = world.tokens.values()
    assert after.used_by == next(iter(before.tokens.values())).used_by
