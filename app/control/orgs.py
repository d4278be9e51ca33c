"""Orgs: who there is, and what holds for one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol
from uuid import UUID

from domain.errors import InvalidInput, JobError, NotFound

from .audit import AuditLog, Section, changes, reads
from .caller import Caller
from .jobs import check_limit

#: The word for what holds for every org that has nothing of its own.
DEFAULT: Final = "default"
#: The largest share, and the largest limit of running jobs.
MAX_WEIGHT = 1_000
MAX_MAX_ACTIVE = 10_000
#: The longest name of a region.
MAX_REGION_CHARS = 64


class Org(Protocol):
    """An org as operators see it."""

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
    """Finds orgs and changes them. Every method may raise `DatabaseUnavailable`."""

    def page(self, *, after: UUID | None, limit: int) -> Sequence[Org]:
        """Orgs by id, those after `after`, at most `limit`."""
        ...

    def get(self, org_id: UUID) -> Org | None:
        """The org with this id, None when there is none."""
        ...

    def set(
        self,
        org_id: UUID,
        *,
        weight: int | Literal["default"] | None = None,
        max_active: int | Literal["default"] | None = None,
        region: str | None = None,
    ) -> Org | None:
        """Change what is given; the org as it is then, None when there is none."""
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


@dataclass(frozen=True, kw_only=True)
class OrgChange:
    """What became of a change."""

    org: OrgDetails
    #: Whether the broker and those who send know it already. Else a worker tells them within seconds, as soon as
    #: the broker answers.
    live: bool


class Orgs(Section):
    """What callers may know of orgs: an org of itself, an operator of all. Operators set what holds for one.

    Parameters:
        audit: keeps who did what.
        orgs: finds and changes them.
        tell: has the broker and those who send know what differs between orgs now; raises a `JobError` when it
            cannot.

    Example:
        >>> control.orgs.show(caller).limits
        {}
    """

    def __init__(self, audit: AuditLog, orgs: OrgRepository, tell: Callable[[], None]) -> None:
        super().__init__(audit)
        self._orgs = orgs
        self._tell = tell

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
        return self._details(org)

    @changes("orgs.set", "org_id", "weight", "max_active", "region", operators_only=True)
    def set(
        self,
        caller: Caller,
        org_id: UUID,
        *,
        weight: int | Literal["default"] | None = None,
        max_active: int | Literal["default"] | None = None,
        region: str | None = None,
    ) -> OrgChange:
        """Change an org's share of the workers, its limit of running jobs, or where its jobs run.

        Share and limit hold for what is fetched from now on, whatever waits already; the region for what is sent
        from some seconds from now on: what was sent before stays where it is.

        Parameters:
            org_id: which.
            weight: 1 to 1,000; with 3 it gets three times what an org with 1 gets. "default" is 1. Default None: as
                it is.
            max_active: 1 to 10,000 jobs at once; "default" is what the platform has for everyone. Default None: as
                it is.
            region: letters, digits, - and _; "default" is any. Default None: as it is.

        Raises:
            OperatorsOnly: an org called.
            NotFound: there is no such org.
            InvalidInput: nothing is given, or something is out of bounds. Nothing was changed.
            JobError: the database does not answer.
        """
        _check(weight, max_active, region)
        org = self._orgs.set(org_id, weight=weight, max_active=max_active, region=region)
        if org is None:
            raise NotFound("org", org_id)
        try:
            self._tell()
        except JobError:
            # It is written, and an error would say that it is not.
            return OrgChange(org=self._details(org), live=False)
        return OrgChange(org=self._details(org), live=True)

    def _details(self, org: Org) -> OrgDetails:
        return OrgDetails(
            id=org.id,
            name=org.name,
            region=org.region,
            weight=org.weight,
            limits=org.limits,
            domains=self._orgs.domains(org.id),
            created_at=org.created_at,
        )


def _check(
    weight: int | Literal["default"] | None, max_active: int | Literal["default"] | None, region: str | None
) -> None:
    if weight is None and max_active is None and region is None:
        raise InvalidInput("say what to change: weight, max_active or region")
    for name, value, most in (("weight", weight, MAX_WEIGHT), ("max_active", max_active, MAX_MAX_ACTIVE)):
        if value not in (None, DEFAULT) and not (type(value) is int and 1 <= value <= most):
            raise InvalidInput(f"{name} must be 1 to {most}, or {DEFAULT!r} for what every org has")
    if region is not None and not (
        len(region) <= MAX_REGION_CHARS
        and region.replace("-", "").replace("_", "").isalnum()
        and region.isascii()
    ):
        raise InvalidInput(
            f"region is part of queue names: up to {MAX_REGION_CHARS} letters, digits, - and _, or {DEFAULT!r} for any"
        )
