"""Where idea drafts come from: a list of providers, the next one tried when one is down."""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from .errors import AuthFailed, InvalidReply, JobError, ProviderUnavailable
from .ideas import ContentType, IdeaDraft, Tone
from .ports import Run

#: Ideas asked for in one call: small enough to fit a reply, and a place to stop in between.
IDEAS_PER_CALL = 50
#: Replies per call's worth of ideas, so that a provider which hands over one idea at a time ends the job early
#: instead of being paid five hundred times.
REPLIES_PER_CALL = 2

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


@dataclass(frozen=True, kw_only=True)
class Blemish:
    """Something in a reply that had to be mended, or left out."""

    #: Which provider, and what; nothing of what it said is quoted.
    remark: str
    #: Ideas that were asked for and paid for, and cannot be used.
    missing: int = 0


class Drafts(list[IdeaDraft]):
    """Drafts of one call, and what had to be done to the reply that they were in.

    Parameters:
        drafts: those that can be used.
        blemishes: one for each idea that was mended or dropped. Default none.

    Example:
        >>> Drafts(drafts, [Blemish(remark="first: idea 2 has no usable title", missing=1)])
    """

    def __init__(self, drafts: Iterable[IdeaDraft], blemishes: Iterable[Blemish] = ()) -> None:
        super().__init__(drafts)
        self.blemishes = tuple(blemishes)


class IdeaGenerator(Protocol):
    """A provider of idea drafts."""

    @property
    def name(self) -> str:
        """How logs and usage name it."""

    def generate(
        self, request: IdeaRequest, *, timeout_s: float | None, on_usage: Callable[[Usage], None]
    ) -> Sequence[IdeaDraft]:
        """At least one and at most `request.count` drafts; `Drafts` where ideas were mended or dropped.

        Parameters:
            request: what to write about.
            timeout_s: how long it may take, repeated requests included; None without a deadline.
            on_usage: called once for every reply that cost tokens, also for one that does not parse.

        Raises:
            ProviderUnavailable: it cannot be reached, or reports a fault of its own.
            AuthFailed: it refused our key.
            QuotaExhausted: no quota, credit or budget is left.
            InvalidReply: no idea in its reply can be used, also when asked once more.
        """


def gather_drafts(
    generators: Sequence[IdeaGenerator],
    request: IdeaRequest,
    run: Run,
    *,
    on_usage: Callable[[Usage], None],
) -> Drafts:
    """Up to `request.count` drafts with distinct titles, in calls of IDEAS_PER_CALL, with failover.

    A provider that failed is not asked again in this job; what it gave before is kept. A provider that has
    nothing new to say ends the job early with what there is, and so does one that fails for good when there is no
    other. An idea that was given and cannot be used is not asked for again: it has been paid for. Titles that
    differ only in case are one title.

    Parameters:
        generators: providers in the order they are tried.
        request: what all calls together should bring.
        run: the surroundings of this attempt.
        on_usage: called for every reply that cost tokens.

    Raises:
        ProviderUnavailable: every provider failed, at least one of them with an outage.
        InvalidReply, AuthFailed: every provider failed, and none of it will pass by itself.
        Cancelled, DeadlineExceeded: between two calls.

    Example:
        >>> len(gather_drafts([template], request, run, on_usage=print))
        10
    """
    left = list(generators)
    failures: list[tuple[str, JobError]] = []
    drafts: dict[str, IdeaDraft] = {}
    replies_left = REPLIES_PER_CALL * math.ceil(request.count / IDEAS_PER_CALL)
    blemishes: list[Blemish] = []
    missing = 0
    while len(drafts) + missing < request.count and replies_left:
        run.checkpoint()
        if not left:
            error = _none_left(failures)
            if drafts and not error.retryable:
                break
            raise error
        ask = replace(
            request,
            count=min(IDEAS_PER_CALL, request.count - len(drafts) - missing),
            known_titles=tuple(draft.title for draft in drafts.values()),
        )
        try:
            reply = _ask(left[0], ask, _share(run.remaining_s(), len(left)), on_usage)
        except (ProviderUnavailable, InvalidReply, AuthFailed) as error:
            # Any fault of a provider is a reason to ask the next: a refused key or garbage as much as an outage.
            name = left.pop(0).name
            logger.warning("Idea provider %s failed (%s); trying the next.", name, error)
            failures.append((name, error))
            continue
        replies_left -= 1
        blemishes += reply.blemishes
        missing += sum(blemish.missing for blemish in reply.blemishes)
        before = len(drafts)
        for draft in reply:
            drafts.setdefault(draft.title.casefold(), draft)
        if len(drafts) == before:
            break
        run.progress(
            20 + 50 * len(drafts) // request.count, f"{len(drafts)} of {request.count} ideas drafted"
        )
    return Drafts(drafts.values(), blemishes)


def _ask(
    generator: IdeaGenerator, request: IdeaRequest, timeout_s: float | None, on_usage: Callable[[Usage], None]
) -> Drafts:
    drafts = generator.generate(request, timeout_s=timeout_s, on_usage=on_usage)
    if not drafts:
        raise InvalidReply(f"{generator.name} returned no ideas")
    return Drafts(drafts[: request.count], drafts.blemishes if isinstance(drafts, Drafts) else ())


def _share(remaining_s: float | None, providers: int) -> float | None:
    # One hanging provider must leave time for each that comes after it, and for writing the ideas.
    return None if remaining_s is None else remaining_s / (providers + 1)


def _none_left(failures: Sequence[tuple[str, JobError]]) -> JobError:
    described = "; ".join(f"{name}: {error}" for name, error in failures) or "none is configured"
    outages = [error for _, error in failures if isinstance(error, ProviderUnavailable)]
    if failures and not outages:
        return type(failures[-1][1])(f"no idea provider gave a usable reply: {described}")
    waits_s = [outage.retry_after_s for outage in outages if outage.retry_after_s is not None]
    return ProviderUnavailable(
        f"no idea provider serves: {described}. The job is tried again later",
        # One that named no time may be back sooner than any that did.
        retry_after_s=min(waits_s) if waits_s and len(waits_s) == len(outages) else None,
    )
