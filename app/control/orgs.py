"""Orgs: who there is, and what holds for one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.errors import InvalidInput, NotFound

from .audit import AuditLog, Section, reads
from .caller import Caller
from .jobs import check_limit


class Org(Protocol):
    """One org."""

    @property
    def id(self) -> UUID: ...

    @property
    def name(self) -> str: ...

    @property
    def region(self) -> str | None: ...

    @property
    def weight(self) -> int: ...

    @property
    def created_at(self) -> datetime: ...

    @property
    def limits(self) -> Mapping[str, object]: ...


class OrgRepository(Protocol):
    """Finds orgs. Every method may raise `DatabaseUnavailable`."""

    def page(self, *, after: UUID | None, limit: int) -> Sequence[Org]:
        """Orgs by id, those after `after`, at most `limit`."""
        ...

    def get(self, org_id: UUID) -> Org | None:
        """One org, None when there is none."""
        ...

    def domains(self, org_id: UUID) -> int:
        """How many domains an org has."""
        ...


@dataclass(frozen=True, kw_only=True)
class OrgDetails:
    """An org, and what holds for it."""

    id: UUID
    name: str
    #: None: served by workers of any region.
    region: str | None
    #: Its share of the workers, relative to other orgs.
    weight: int
    #: Limits that differ from the platform's, by name.
    limits: Mapping[str, object]
    domains: int
    created_at: datetime


class Orgs(Section):
    """What callers may know of orgs: an org of itself, an operator of all.

    Parameters:
        audit: keeps who did what.
        orgs: finds them.

    Example:
        >>> control.orgs.show(caller).limits
        {}
    """

    def __init__(self, audit: AuditLog, orgs: OrgRepository) -> None:
        super().__init__(audit)
        self._orgs = orgs

    @reads("orgs.list", operators_only=True)
    def list(self, caller: Caller, *, after: UUID | None = None, limit: int = 50) -> Sequence[Org]:
        """A page of orgs by id.

        Parameters:
            after: the id of the last org of the page before. Default None, from the first.
            limit: 1 to 1,000. Default 50.

        Raises:
            OperatorsOnly: an org called.
            InvalidInput: `limit` is out of bounds.
            JobError: the database does not answer.
        """
        check_limit(limit)
        return self._orgs.page(after=after, limit=limit)

    @reads("orgs.show", "org_id")
    def show(self, caller: Caller, *, org_id: UUID | None = None) -> OrgDetails:
        """An org, its limits and how many domains it has.

        Parameters:
            org_id: which. Default: the caller's; an operator has to say.

        Raises:
            NotFound: there is no such org, or it is not the caller's.
            InvalidInput: an operator named none.
            JobError: the database does not answer.
        """
        wanted = caller.org_id or org_id
        if wanted is None:
            raise InvalidInput("say which org; an operator acts for none in particular")
        org = self._orgs.get(wanted)
        if org is None:
            raise NotFound("org", wanted)
        return OrgDetails(
            id=org.id,
            name=org.name,
            region=org.region,
            weight=org.weight,
            limits=org.limits,
            domains=self._orgs.domains(wanted),
            created_at=org.created_at,
        )
