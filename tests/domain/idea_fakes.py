"""Plain stand-ins for the ports of idea generation, for tests that read like a specification."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from uuid import UUID

from domain.errors import Cancelled, DatabaseUnavailable, JobError
from domain.idea_providers import IdeaRequest, KeywordAverages, Usage
from domain.ideas import Idea, IdeaDraft
from domain.ports import T

#: One step of a provider's life: an error to raise, or what to give for a request.
Turn = JobError | Callable[[IdeaRequest], Sequence[IdeaDraft]]


class FakeRun:
    """Notes the progress; is cancelled at the checkpoint of that number, if one is given."""

    def __init__(self, *, cancelled_at: int | None = None, remaining_s: float | None = None) -> None:
        self.job_id = UUID(int=1)
        self.percents: list[int] = []
        self._checkpoints = count(1)
        self._cancelled_at = cancelled_at
        self._remaining_s = remaining_s

    def remaining_s(self) -> float | None:
        return self._remaining_s

    def progress(self, percent: int, note: str) -> None:
        self.percents.append(percent)

    def checkpoint(self) -> None:
        if next(self._checkpoints) == self._cancelled_at:
            raise Cancelled("somebody asked for it")


class FakeGenerator:
    """A provider that takes its turns in order; the last one is taken again and again."""

    def __init__(self, *turns: Turn, name: str = "fake", usage: Usage | None = None) -> None:
        self.name = name
        self.asked: list[IdeaRequest] = []
        self.timeouts_s: list[float | None] = []
        self._turns = list(turns)
        self._usage = usage

    def generate(
        self, request: IdeaRequest, *, timeout_s: float | None, on_usage: Callable[[Usage], None]
    ) -> Sequence[IdeaDraft]:
        self.asked.append(request)
        self.timeouts_s.append(timeout_s)
        if self._usage is not None:
            on_usage(self._usage)
        turn = self._turns.pop(0) if len(self._turns) > 1 else self._turns[0]
        if isinstance(turn, JobError):
            raise turn
        return turn(request)


def drafting(prefix: str = "Idea") -> Callable[[IdeaRequest], list[IdeaDraft]]:
    """A turn that gives as many new drafts as are asked for."""

    def draft(request: IdeaRequest) -> list[IdeaDraft]:
        first = len(request.known_titles)
        return [titled(f"{prefix} {first + number}") for number in range(request.count)]

    return draft


def saying(*titles: str) -> Callable[[IdeaRequest], list[IdeaDraft]]:
    """A turn that gives drafts of these titles, whatever is asked for."""
    return lambda request: [titled(title) for title in titles]


def titled(title: str) -> IdeaDraft:
    """A draft that differs from others by its title."""
    return IdeaDraft(title=title, description="What it says.")


@dataclass
class Rows:
    """What one org has in the database."""

    domains: set[UUID] = field(default_factory=set)
    averages: list[KeywordAverages] = field(default_factory=list)
    keys: dict[str, UUID] = field(default_factory=dict)
    windows: list[timedelta] = field(default_factory=list)
    ideas: list[tuple[UUID, UUID, str, Idea]] = field(default_factory=list)
    usages: list[tuple[UUID, Usage]] = field(default_factory=list)


class FakeRepository:
    """The repository over the rows of one org."""

    def __init__(self, rows: Rows, *, healthy: bool, hides_keys: bool) -> None:
        self._rows = rows
        self._healthy = healthy
        self._hides_keys = hides_keys

    def ping(self) -> None:
        if not self._healthy:
            raise DatabaseUnavailable("no answer")

    def domain_exists(self, domain_id: UUID) -> bool:
        return domain_id in self._rows.domains

    def batch_for_key(self, key: str) -> UUID | None:
        return None if self._hides_keys else self._rows.keys.get(key)

    def keyword_averages(
        self, domain_id: UUID, keywords: Sequence[str], days: int
    ) -> Sequence[KeywordAverages]:
        return [average for average in self._rows.averages if average.keyword in keywords]

    def claim_key(self, key: str, batch_id: UUID, window: timedelta) -> UUID:
        self._rows.windows.append(window)
        return self._rows.keys.setdefault(key, batch_id)

    def insert_ideas(self, domain_id: UUID, batch_id: UUID, key: str, ideas: Sequence[Idea]) -> None:
        self._rows.ideas += [(domain_id, batch_id, key, idea) for idea in ideas]

    def tokens_spent_today(self) -> int:
        return sum(usage.prompt_tokens + usage.completion_tokens for _, usage in self._rows.usages)

    def record_usage(self, usage_id: UUID, job_id: UUID, usage: Usage) -> None:
        self._rows.usages.append((job_id, usage))


class FakeTransactions:
    """Units of work over dictionaries: all of one is kept or none, and orgs do not see each other."""

    def __init__(
        self, *, healthy: bool = True, hides_keys: bool = False, fails_at_write: bool = False
    ) -> None:
        self.orgs: dict[UUID, Rows] = {}
        self._healthy = healthy
        self._hides_keys = hides_keys
        self._fails_at_write = fails_at_write

    def __call__(self, org_id: UUID, work: Callable[[FakeRepository], T], *, timeout_s: float = 30.0) -> T:
        before = self.orgs.setdefault(org_id, Rows())
        after = deepcopy(before)
        result = work(FakeRepository(after, healthy=self._healthy, hides_keys=self._hides_keys))
        if self._fails_at_write and after.ideas != before.ideas:
            raise DatabaseUnavailable("the connection was lost")
        self.orgs[org_id] = after
        return result
