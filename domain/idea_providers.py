"""Where idea drafts come from: a list of providers, the next one tried when one is down."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from .errors import JobError, ProviderUnavailable
from .ideas import ContentType, IdeaDraft, Tone
from .ports import Run

#: Ideas asked for in one call: small enough to fit a reply, and a place to stop in between.
IDEAS_PER_CALL = 50

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class KeywordAverages:
    """How a keyword has done lately."""

    keyword: str
    clicks: float
    position: float


@dataclass(frozen=True, kw_only=True)
class IdeaRequest:
    """What a provider is asked for."""

    keywords: tuple[str, ...]
    averages: tuple[KeywordAverages, ...]
    content_type: ContentType
    target_audience: str
    tone: Tone
    count: int
    #: Titles from earlier calls of the same job, not to be repeated.
    known_titles: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What one call cost."""

    provider: str
    model: str
    prompt_tokens: int
    completion_tokens: int


class IdeaGenerator(Protocol):
    """One provider of idea drafts."""

    @property
    def name(self) -> str:
        """How logs and usage name it."""

    def generate(
        self, request: IdeaRequest, *, timeout_s: float | None, on_usage: Callable[[Usage], None]
    ) -> Sequence[IdeaDraft]:
        """At most `request.count` drafts.

        Parameters:
            request: what to write about.
            timeout_s: what is left of the job; None without a deadline.
            on_usage: called once for every reply that cost tokens, also for one that does not parse.

        Raises:
            ProviderUnavailable: it cannot be reached, or reports a fault of its own.
            AuthFailed: it refused our key.
            InvalidReply: its reply did not parse, also when asked once more.
        """


def gather_drafts(
    generators: Sequence[IdeaGenerator],
    request: IdeaRequest,
    run: Run,
    *,
    on_usage: Callable[[Usage], None],
) -> list[IdeaDraft]:
    """Up to `request.count` drafts with distinct titles, in calls of IDEAS_PER_CALL, with failover.

    A provider that failed is not asked again in this job. A provider that has nothing new to say ends the
    job early with what there is.

    Raises:
        ProviderUnavailable: every provider failed, at least one of them with an outage.
        InvalidReply, AuthFailed: every provider failed, and none of it will pass by itself.
        Cancelled, DeadlineExceeded: between two calls.
    """
    left = list(generators)
    failures: list[JobError] = []
    drafts: dict[str, IdeaDraft] = {}
    while len(drafts) < request.count:
        run.checkpoint()
        if not left:
            raise _none_left(failures)
        ask = replace(
            request, count=min(IDEAS_PER_CALL, request.count - len(drafts)), known_titles=tuple(drafts)
        )
        try:
            reply = left[0].generate(ask, timeout_s=run.remaining_s(), on_usage=on_usage)
        except JobError as error:
            # Any fault of a provider is a reason to ask the next: a refused key or garbage as much as an outage.
            logger.warning("Idea provider %s failed (%s); trying the next.", left.pop(0).name, error)
            failures.append(error)
            continue
        new = [draft for draft in reply[: ask.count] if draft.title not in drafts]
        if not new:
            break
        drafts.update((draft.title, draft) for draft in new)
        run.progress(
            20 + 50 * len(drafts) // request.count, f"{len(drafts)} of {request.count} ideas drafted"
        )
    return list(drafts.values())


def _none_left(failures: Sequence[JobError]) -> JobError:
    told = "; ".join(str(failure) for failure in failures) or "none is configured"
    if failures and not any(failure.retryable for failure in failures):
        return type(failures[-1])(f"no idea provider gave a usable reply: {told}")
    return ProviderUnavailable(f"no idea provider serves: {told}. The job is tried again later")
