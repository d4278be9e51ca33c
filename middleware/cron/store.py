"""What the cron guard asks of a store. Minutes are whole minutes since 1970, in UTC."""

from dataclasses import dataclass
from typing import Literal, Protocol

#: What a message learns when it claims its tick:
#: - granted: it may run;
#: - taken: another message has this tick;
#: - covered: a later run has this tick's work in it;
#: - running: the tick before still runs, and this one is dealt with;
#: - busy: another tick runs, and this one is still owed.
Claim = Literal["granted", "taken", "covered", "running", "busy"]

#: How long a schedule's state is kept when nobody looks at it, in days: longer than a year between ticks.
STATE_DAYS = 400


@dataclass(frozen=True)
class Look:
    """What is known of an actor's ticks since the last look."""

    #: Up to this minute everything is accounted for.
    since: int
    #: Minutes after that which were sent or claimed.
    seen: frozenset[int]


class CronStore(Protocol):
    """Where ticks are claimed and counted, shared by all processes. Each call is one atomic step.

    All raise `StoreUnavailable` when the store does not answer.
    """

    def claim(
        self,
        actor: str,
        minute: int,
        holder: str,
        *,
        window_s: float,
        exclusive_s: float | None,
        covers: int | None,
        owed: bool,
    ) -> Claim:
        """Claim a tick for a message; the same message claims it again as often as it likes.

        Parameters:
            actor: whose tick.
            minute: which tick.
            holder: the message's id.
            window_s: how long the claim is remembered.
            exclusive_s: lease of the mark that only one tick of the actor holds, renewed by claiming again;
                None: ticks may overlap.
            covers: up to which minute this run has the work of other ticks in it; None: of none.
            owed: the tick has been granted before, or is made up for: it is not covered, and is `busy` where
                another would be `running`.
        """

    def release(self, actor: str, holder: str) -> None:
        """Give the mark of a running tick back, if `holder` has it."""

    def note_sent(self, actor: str, minute: int, *, window_s: float) -> None:
        """Remember that a tick was sent."""

    def look(self, actor: str, schedule: str, who: str, *, lease_s: float) -> Look | None:
        """What was sent and claimed since the last look; None when another process looks, for `lease_s`.

        An actor that is not known, or had another schedule, is accounted for up to now.
        """

    def account(self, actor: str, until: int) -> None:
        """Everything up to this minute is dealt with."""


def ms(seconds: float) -> int:
    """Seconds as whole milliseconds, which is what stores count in.

    Example:
      >>> ms(0.25)
      250
    """
    return round(seconds * 1_000)
