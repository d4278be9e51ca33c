"""A domain changes hands with everything below it, in one transaction: its owner issued a token, another org has it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from .contract import Model, TenantJob
from .errors import NotFound, PermanentError
from .metadata import Metadata
from .ports import Run, SystemTransactions
from .transfer_tokens import TransferToken, Who, token_hash

#: Bound on every statement, the one that moves all rows below the domain included; the job has a minute.
TRANSFER_TIMEOUT_S = 45.0


class TransferTokenUnknown(NotFound):
    """No such token was ever issued, or its issuer is gone."""

    def __init__(self) -> None:
        PermanentError.__init__(
            self,
            "the transfer token is not known; check that it was copied whole, or ask its issuer for another",
        )


class TransferTokenExpired(PermanentError):
    """Its time is over, or its issuer ended it."""

    def __init__(self) -> None:
        super().__init__("the transfer token has expired or was revoked; ask its issuer for another")


class TransferTokenUsed(PermanentError):
    """A domain was taken over with it before, by another job."""

    def __init__(self) -> None:
        super().__init__(
            "the transfer token was used already, and works once; look whether the domain is yours by now, or ask its "
            "issuer for another"
        )


class TransferTokenIncomplete(PermanentError):
    """It names no domain, or one that its issuer does not own any more."""

    def __init__(self) -> None:
        super().__init__(
            "the transfer token leads to no domain of its issuer's; ask whoever owns the domain now for a token"
        )


class TransferToAnotherOrg(PermanentError):
    """It was issued for another receiver."""

    def __init__(self) -> None:
        super().__init__("the transfer token is for another org; ask its issuer for one that names yours")


class TransferToOwner(PermanentError):
    """The receiver is who gives."""

    def __init__(self) -> None:
        super().__init__(
            "the domain is this org's already; nothing has to be transferred, and the token still works"
        )


class HostTaken(PermanentError):
    """The receiver has a domain of the same host."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"this org has a domain {host} already; remove or rename that one and send the transfer again: the token "
            "still works"
        )


class DomainTransfer(TenantJob):
    """Ask for the domain that a token stands for. `org_id` is the receiver.

    Example:
        >>> DomainTransfer(org_id=receiver, token=SecretStr("5f2c9ab1..."), requested_by="ann")
    """

    token: TransferToken
    """What the domain's owner was given: at least 10 characters; space around it and capitals do not matter."""
    requested_by: Who
    """Who asks for it, as the audit log will tell."""
    metadata: Metadata | None = None
    """Kept in the receiver's audit log. 50 keys, below 32 KiB as JSON."""


class TransferOutcome(Model):
    """What came of it."""

    status: Literal["transferred"]
    domain_id: UUID
    host: str
    transferred_from: UUID
    """The org that gave it."""
    transferred_at: datetime


@dataclass(frozen=True, kw_only=True)
class HeldToken:
    """A token, held for the transaction."""

    token_id: UUID
    #: Who issued it.
    org_id: UUID
    domain_id: UUID | None
    receiver_org_id: UUID | None
    is_expired: bool
    #: The job that used it.
    used_by: str | None
    is_used: bool


@dataclass(frozen=True, kw_only=True)
class HeldDomain:
    """A domain, held for the transaction."""

    host: str
    transferred_at: datetime | None
    transferred_from: UUID | None


class TransferRepository(Protocol):
    """Every org's tokens and domains, within one transaction of the system role."""

    def hold_token(self, hashed: bytes) -> HeldToken | None:
        """Keep everybody else away from this token, whether or not it exists, and read it."""

    def hold_domain(self, org_id: UUID, domain_id: UUID) -> HeldDomain | None:
        """Keep everybody else away from the org's domain, and read it; None when the org has no such domain."""

    def org_exists(self, org_id: UUID) -> bool:
        """True if there is such an org."""

    def use(self, token: HeldToken, job_id: UUID) -> bool:
        """Note the job as the token's user; False when it has one."""

    def move(self, token: HeldToken, domain_id: UUID, job: DomainTransfer) -> datetime | None:
        """Make the domain the receiver's, with everything below it, and write that into both orgs' audit logs; when.

        What would act on the giver's behalf stops: publish targets are disabled, open publish intents cancelled, and
        content that was being published fails. None when the receiver has a domain of that host; nothing of the
        transaction may be kept then.
        """


@dataclass(frozen=True, kw_only=True)
class TransferDomain:
    """The handler.

    All of it is one transaction: a token is used, a domain and everything below it has moved, and both audit logs
    tell of it, or nothing has happened and the token still works. Of any number of jobs with one token, one wins.

    A job that is delivered again, because its worker died or the answer to its COMMIT was lost, finds the token used
    by itself and says `transferred` again. Jobs that were sent under the former owner fail as not found.

    Publish targets go along, disabled: their credentials open a site of the former owner's, and nobody should
    publish there by accident. Whoever enables one again gives it credentials of their own first.

    Parameters:
        run: the surroundings of this attempt.
        transactions: units of work of the system role.

    Example:
        >>> TransferDomain(run=run, transactions=db)(job).status
        'transferred'
    """

    run: Run
    transactions: SystemTransactions[TransferRepository]

    def __call__(self, job: DomainTransfer) -> TransferOutcome:
        """Transfer one domain.

        Parameters:
            job: the token, and the org that receives the domain.

        Raises:
            TransferTokenUnknown: nobody issued this token.
            TransferTokenExpired: its time is over, or it was revoked.
            TransferTokenUsed: another job used it.
            TransferTokenIncomplete: it names no domain, or one that its issuer does not own any more.
            TransferToAnotherOrg: it was issued for another receiver.
            TransferToOwner: the receiver issued it. The token still works.
            HostTaken: the receiver has a domain of that host. The token still works.
            NotFound: there is no such receiver. The token still works.
            DatabaseUnavailable: the transaction failed, also when repeated. The token still works.
            Cancelled, DeadlineExceeded: before anything was begun.
        """
        self.run.checkpoint()
        outcome = self.transactions(
            lambda repository: _transfer(repository, self.run.job_id, job), timeout_s=TRANSFER_TIMEOUT_S
        )
        self.run.progress(100, "transferred")
        return outcome


def _transfer(repository: TransferRepository, job_id: UUID, job: DomainTransfer) -> TransferOutcome:
    token = repository.hold_token(token_hash(job.token))
    if token is None:
        raise TransferTokenUnknown
    # Before all else: whom it is not for learns nothing about it.
    if token.receiver_org_id not in (None, job.org_id):
        raise TransferToAnotherOrg
    if token.is_used:
        return _transferred_before(repository, token, job_id, job)
    if token.is_expired:
        raise TransferTokenExpired
    domain_id = token.domain_id
    domain = None if domain_id is None else repository.hold_domain(token.org_id, domain_id)
    if domain_id is None or domain is None:
        raise TransferTokenIncomplete
    if token.org_id == job.org_id:
        raise TransferToOwner
    if not repository.org_exists(job.org_id):
        raise NotFound("org", job.org_id)
    if not repository.use(token, job_id):
        raise TransferTokenUsed
    moved_at = repository.move(token, domain_id, job)
    if moved_at is None:
        raise HostTaken(domain.host)
    return _outcome(token, domain_id, domain.host, moved_at)


def _transferred_before(
    repository: TransferRepository, token: HeldToken, job_id: UUID, job: DomainTransfer
) -> TransferOutcome:
    if token.used_by != str(job_id) or token.domain_id is None:
        raise TransferTokenUsed
    domain = repository.hold_domain(job.org_id, token.domain_id)
    # It may have moved on since.
    if domain is None or domain.transferred_from != token.org_id or domain.transferred_at is None:
        raise TransferTokenUsed
    return _outcome(token, token.domain_id, domain.host, domain.transferred_at)


def _outcome(token: HeldToken, domain_id: UUID, host: str, at: datetime) -> TransferOutcome:
    return TransferOutcome(
        status="transferred",
        domain_id=domain_id,
        host=host,
        transferred_from=token.org_id,
        transferred_at=at,
    )
