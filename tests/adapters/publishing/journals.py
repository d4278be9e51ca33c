"""A journal that keeps everything in memory, and can lose its lease."""

from dataclasses import dataclass, field

from domain.errors import LeaseLost

#: Seconds that each call may take, unless a test says otherwise.
HOLD_S = 20.0


@dataclass
class MemoryJournal:
    """`domain.publishing.Journal` of one worker."""

    draft_id: str | None = None
    hold_s: float = HOLD_S
    #: Calls of `hold` and `remember` after which the lease is lost.
    lost_after: int | None = None
    #: Drafts that another worker uses.
    in_use: frozenset[str] = frozenset()
    #: What was called, in order.
    calls: list[str] = field(default_factory=list)
    disowned: set[str] = field(default_factory=set)

    def hold(self) -> float:
        """Seconds that the next call may take."""
        self._call("hold")
        return self.hold_s

    def remember(self, draft_id: str) -> None:
        """Keep a draft's id."""
        self._call("remember")
        if draft_id in self.disowned:
            raise LeaseLost("the draft was disowned")
        self.draft_id = draft_id

    def disown(self, draft_id: str) -> bool:
        """Whether a draft may go."""
        if draft_id in self.in_use or draft_id == self.draft_id:
            return False
        self.disowned.add(draft_id)
        return True

    def _call(self, name: str) -> None:
        if self.lost_after is not None and len(self.calls) >= self.lost_after:
            raise LeaseLost("another worker has it")
        self.calls.append(name)
