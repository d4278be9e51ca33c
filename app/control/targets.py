"""Publish targets: where an org's posts go and with which credentials; stored, checked, switched."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from adapters.database.targets import NewTarget, Rotation, SqlPublishTargets, TargetRow
from adapters.ids import uuid7
from domain.errors import InvalidInput
from domain.publishing import AdapterName, PublishTarget

from .audit import AuditLog, Section, changes, reads
from .caller import Caller
from .jobs import check_limit

#: Seconds that a check may take.
CHECK_S: Final = 30.0
#: Seconds for finding a site's API as its target is stored; one that is away is stored as it was given.
LOOK_S: Final = 10.0
MAX_NAME_CHARS: Final = 200


@dataclass(frozen=True, kw_only=True)
class TargetCheck:
    """What a target says of itself."""

    is_ready: bool
    #: Who we are there, or what is wrong and the fix.
    message: str


class Outbound(Protocol):
    """What targets are called and kept with."""

    def check_address(self, address: str) -> None:
        """Refuse an address that may not be called.

        Raises:
            InvalidInput: it may not.
        """
        ...

    def site_address(self, adapter: AdapterName, address: str, *, timeout_s: float) -> str:
        """The address to keep: for a WordPress site, wherever its API says that the site is.

        Raises:
            InvalidInput: the site has its API on another host, or may not be called.
        """
        ...

    def seal(self, adapter: AdapterName, credentials: Callable[[], str]) -> Callable[[UUID], bytes]:
        """What encrypts credentials for the target of an id.

        Raises:
            InvalidInput: they do not fit the adapter, or there is no key.
        """
        ...

    def rotated(self, sealed: bytes) -> bytes | None:
        """Encrypted credentials under the newest key; None when they are.

        Raises:
            AuthFailed: no key opens them.
        """
        ...

    def check(self, target: PublishTarget, *, timeout_s: float) -> TargetCheck:
        """Sign in at a target without leaving a trace there."""
        ...


class Targets(Section):
    """What callers may do with publish targets. An org's caller has its own org's; an operator any org's.

    Parameters:
        audit: keeps who did what.
        targets: keeps them.
        outbound: gives what they are called and kept with; called when that is needed.

    Raises:
        NotFound: from every method that names a target or a domain: there is none, or it is another org's.
        JobError: from every method: the database does not answer; nothing was done.

    Example:
        >>> control.targets.disable(caller, target_id)
        True
    """

    def __init__(self, audit: AuditLog, targets: SqlPublishTargets, outbound: Callable[[], Outbound]) -> None:
        super().__init__(audit)
        self._targets = targets
        self._outbound = outbound

    # Never the address in the audit log: a webhook's may hold a secret.
    @changes("targets.add", "domain_id", "name", "adapter")
    def add(
        self,
        caller: Caller,
        *,
        domain_id: UUID,
        name: str,
        adapter: AdapterName,
        address: str,
        credentials: Callable[[], str],
        org_id: UUID | None = None,
    ) -> UUID:
        """Store a target under a name that the domain's other targets do not have; its id.

        Parameters:
            domain_id: whose posts go there.
            name: 1 to 200 characters.
            adapter: what speaks to it.
            address: like `https://blog.example`. Of a WordPress site any page will do, or its API's root: the site's
                own address is found and kept, if the site answers.
            credentials: gives them as a JSON object; called when all else is well.
            org_id: whose domain it is; an operator names it. Default: the caller's.

        Raises:
            InvalidInput: the name is taken, the address may not be called, or the credentials do not fit the adapter.
        """
        new = self._new(domain_id, name, adapter, address, credentials)
        return self._targets.store(_whose(caller, org_id), new, uuid7(), replace=False)

    @changes("targets.replace", "domain_id", "name", "adapter")
    def replace(
        self,
        caller: Caller,
        *,
        domain_id: UUID,
        name: str,
        adapter: AdapterName,
        address: str,
        credentials: Callable[[], str],
        org_id: UUID | None = None,
    ) -> UUID:
        """Store a target, or give the one of this name another adapter, address and credentials; it keeps its id.

        Parameters as for `add`.
        """
        new = self._new(domain_id, name, adapter, address, credentials)
        return self._targets.store(_whose(caller, org_id), new, uuid7(), replace=True)

    @reads("targets.list", "org_id")
    def list(
        self, caller: Caller, *, org_id: UUID | None = None, after: UUID | None = None, limit: int = 50
    ) -> Sequence[TargetRow]:
        """A page of targets by id, without their credentials.

        Parameters:
            org_id: only this org's. Default: the caller's; an operator's, every one.
            after: the id of the last target of the page before. Default None, from the first.
            limit: 1 to 1,000. Default 50.
        """
        check_limit(limit)
        return self._targets.page(caller.org_id or org_id, after=after, limit=limit)

    @reads("targets.check", "target_id")
    def check(self, caller: Caller, target_id: UUID) -> TargetCheck:
        """Sign in at a target without leaving a trace there; what is wrong, and the fix."""
        target = self._targets.target(caller.org_id, target_id)
        return self._outbound().check(target, timeout_s=CHECK_S)

    @changes("targets.enable", "target_id")
    def enable(self, caller: Caller, target_id: UUID) -> bool:
        """Let posts go to a target again. Returns False if they did already."""
        return self._targets.set_enabled(caller.org_id, target_id, enabled=True)

    @changes("targets.disable", "target_id")
    def disable(self, caller: Caller, target_id: UUID) -> bool:
        """Let no more posts go to a target. Returns False if none did already."""
        return self._targets.set_enabled(caller.org_id, target_id, enabled=False)

    @changes("targets.rotate", operators_only=True)
    def rotate(self, caller: Caller) -> Rotation:
        """Encrypt the credentials of every target with the newest key; what came of it."""
        return self._targets.rotate(None, self._outbound().rotated)

    def _new(
        self,
        domain_id: UUID,
        name: str,
        adapter: AdapterName,
        address: str,
        credentials: Callable[[], str],
    ) -> NewTarget:
        name = name.strip()
        if not 0 < len(name) <= MAX_NAME_CHARS:
            raise InvalidInput(f"a name has 1 to {MAX_NAME_CHARS} characters")
        outbound = self._outbound()
        outbound.check_address(address)
        address = outbound.site_address(adapter, address, timeout_s=LOOK_S)
        return NewTarget(
            domain_id=domain_id,
            name=name,
            adapter=adapter,
            address=address,
            sealed=outbound.seal(adapter, credentials),
        )


def _whose(caller: Caller, org_id: UUID | None) -> UUID:
    wanted = caller.org_id or org_id
    if wanted is None:
        raise InvalidInput("name the org whose target it is")
    return wanted
