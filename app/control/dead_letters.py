"""Dead letters: list, count and show them, send their messages again, edited or not, and delete them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol
from uuid import UUID

from dramatiq import Broker

from domain.errors import InvalidInput, NotFound, ProviderUnavailable
from middleware import DeadLetter, DeadLetterFilter, DeadLetterReplayer, GuardError
from middleware.dead_letters.guard import DeadLetterBox
from middleware.dead_letters.replay import (
    DEFAULT_FIRST,
    DEFAULT_WATCH_S,
    LetterNotFound,
    ReplayError,
    ReplayReport,
    ReplayUncertain,
)

from .audit import AuditLog, Section, changes, reads
from .caller import Caller
from .errors import redis_answers
from .jobs import check_limit

#: How many letters there are by what and value: those that are open, and those that were replayed.
Counts = Mapping[str, Mapping[str, tuple[int, int]]]


class SearchedBox(DeadLetterBox, Protocol):
    """What is asked of a box of letters beyond what guards ask."""

    def search(
        self,
        *,
        category: str | None,
        actor: str | None,
        fingerprint: str | None,
        replayed: bool | None,
        after: str | None,
        limit: int,
    ) -> Sequence[DeadLetter]:
        """A page of the letters that fit, the newest first.

        Raises:
            ValueError: `after` is no cursor.
        """
        ...

    def counts(self, *, category: str | None, actor: str | None, fingerprint: str | None) -> Counts:
        """How many letters fit, by category, region, actor and fingerprint."""
        ...


class LetterArchive(Protocol):
    """Keeps dead letters. Every method of its boxes may raise `DatabaseUnavailable`."""

    def of_org(self, org: str) -> SearchedBox:
        """The letters of one org."""
        ...

    def of_every_org(self) -> SearchedBox:
        """All letters."""
        ...


class DeadLetters(Section):
    """What callers may do with dead letters. An org's caller sees its own org's; an operator every org's.

    Parameters:
        audit: keeps who did what.
        letters: keeps them.
        broker: gives the broker with its actors; called when a message is to be sent.
        ping: raises where Redis does not answer.

    Raises:
        NotFound: from every method that names a letter: there is none, or it is another org's.
        JobError: from every method: something does not answer; `retryable` says so.

    Example:
        >>> control.dead_letters.count(caller, DeadLetterFilter(category="network"))
        12
    """

    def __init__(
        self,
        audit: AuditLog,
        letters: LetterArchive,
        broker: Callable[[], Broker],
        ping: Callable[[], object],
    ) -> None:
        super().__init__(audit)
        self._letters = letters
        self._broker = broker
        self._ping = ping

    @reads("dead_letters.list", "org_id", "which", "replayed")
    def list(
        self,
        caller: Caller,
        which: DeadLetterFilter = DeadLetterFilter(),  # noqa: B008  # frozen
        *,
        org_id: UUID | None = None,
        replayed: bool | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Sequence[DeadLetter]:
        """A page of letters, the newest first.

        Parameters:
            which: category, actor and fingerprint. Default any.
            org_id: only this org's. Default: the caller's; an operator's, every one.
            replayed: only those whose message was sent again, or only those that are open. Default both.
            after: the `cursor` of the last letter of the page before. Default None, from the newest.
            limit: 1 to 1,000. Default 50.

        Raises:
            InvalidInput: `after` is no cursor, or `limit` is out of bounds.
        """
        check_limit(limit)
        try:
            return self._box(caller, org_id).search(
                category=which.category,
                actor=which.actor,
                fingerprint=which.fingerprint,
                replayed=replayed,
                after=after,
                limit=limit,
            )
        except ValueError:
            raise InvalidInput(
                f"a page goes on after the cursor that the page before ended with, not {after!r}"
            ) from None

    @reads("dead_letters.show", "letter_id")
    def show(self, caller: Caller, letter_id: str) -> DeadLetter:
        """Everything that is known of one letter."""
        letter = self._box(caller).get(letter_id)
        if letter is None:
            raise NotFound("dead letter", letter_id)
        return letter

    @reads("dead_letters.stats", "org_id", "which")
    def stats(
        self,
        caller: Caller,
        which: DeadLetterFilter = DeadLetterFilter(),  # noqa: B008  # frozen
        *,
        org_id: UUID | None = None,
    ) -> Counts:
        """How many letters there are by category, region, actor and fingerprint. Parameters as for `list`."""
        return self._box(caller, org_id).counts(
            category=which.category, actor=which.actor, fingerprint=which.fingerprint
        )

    @reads("dead_letters.count", "org_id", "which")
    def count(
        self, caller: Caller, which: DeadLetterFilter, *, org_id: UUID | None = None, again: bool = False
    ) -> int:
        """How many messages `retry_matching` would send: those that were not yet, and need no edit."""
        return self._replays(self._box(caller, org_id)).count(which, again=again)

    @changes("dead_letters.retry", "letter_id")
    def retry(self, caller: Caller, letter_id: str, *, again: bool = False) -> str:
        """Send the letter's message again, as a new one.

        Parameters:
            letter_id: the letter.
            again: also when that was done before. Default False.

        Returns:
            The new message's id.

        Raises:
            InvalidInput: it cannot be sent like this; the text says what to do. Nothing was sent.
            ProviderUnavailable: Redis does not answer; the text says whether it may have been sent.
        """
        with _refusals(letter_id):
            return self._replays(self._box(caller)).retry(letter_id, again=again)

    @changes("dead_letters.edit", "letter_id")
    def edit(self, caller: Caller, letter_id: str, payload: object, *, again: bool = False) -> str:
        """Send the letter's message again with another payload; what was changed is kept in the letter.

        Parameters:
            letter_id, again: as for `retry`.
            payload: JSON data for the actor's contract.

        Raises:
            InvalidInput: as for `retry`, or the payload does not fit the contract.
        """
        with _refusals(letter_id):
            return self._replays(self._box(caller)).edit_and_retry(letter_id, payload, again=again)

    @changes("dead_letters.retry_matching", "org_id", "which", "first", "rest")
    def retry_matching(
        self,
        caller: Caller,
        which: DeadLetterFilter,
        *,
        org_id: UUID | None = None,
        first: int = DEFAULT_FIRST,
        rest: bool = False,
        watch_s: float = DEFAULT_WATCH_S,
        again: bool = False,
    ) -> ReplayReport:
        """Send some of the messages that fit, watch them, and send the rest in growing batches.

        Parameters:
            which, org_id: as for `list`.
            first: how many are sent first. Default 5.
            rest: whether to go on after those, unless one fails again. Default False.
            watch_s: how long each batch is watched, in seconds. Default 30.
            again: also what was sent again before. Default False.

        Raises:
            InvalidInput: `first` is below 1.
            ProviderUnavailable: Redis does not answer; what was sent before is sent.
        """
        if first < 1:
            raise InvalidInput(f"first must be at least 1, not {first}")
        with _refusals("that fits"):
            return self._replays(self._box(caller, org_id)).retry_many(
                which, first=first, rest=rest, watch_s=watch_s, again=again
            )

    @changes("dead_letters.delete", "letter_id")
    def delete(self, caller: Caller, letter_id: str) -> None:
        """Delete one letter for good."""
        if not self._box(caller).delete(letter_id):
            raise NotFound("dead letter", letter_id)

    @changes("dead_letters.purge", "org_id", "before_ms")
    def purge(self, caller: Caller, *, before_ms: int, org_id: UUID | None = None) -> int:
        """Delete what was dead-lettered before a time, for good.

        Parameters:
            before_ms: the time, in epoch milliseconds.
            org_id: as for `list`.

        Returns:
            How many letters are gone.
        """
        return self._box(caller, org_id).purge(before_ms)

    def _box(self, caller: Caller, org_id: UUID | None = None) -> SearchedBox:
        wanted = caller.org_id or org_id
        return self._letters.of_every_org() if wanted is None else self._letters.of_org(str(wanted))

    def _replays(self, box: SearchedBox) -> DeadLetterReplayer:
        # Asked beforehand: a broker that fails in the middle leaves open whether it took the message.
        with redis_answers():
            self._ping()
        return DeadLetterReplayer(self._broker(), box)


@contextmanager
def _refusals(letter_id: str) -> Iterator[None]:
    try:
        yield
    except LetterNotFound:
        raise NotFound("dead letter", letter_id) from None
    except ReplayUncertain as error:
        raise ProviderUnavailable(str(error)) from error
    except (ReplayError, GuardError) as error:
        raise InvalidInput(str(error)) from None
