"""Sends the messages of dead letters again: one, an edited one, or many that stop when they fail again."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dramatiq import Broker, Message

from ..base.errors import GuardError
from ..base.options import names_of
from ..base.redaction import mark_secrets
from ..base.sending import ADMITTED
from .edit import check_edit
from .guard import DeadLetterBox
from .letter import MAX_PAGE, REPLAY_OF, DeadLetter, letter_id

#: How many are sent first, and how long they are watched, when many are sent.
DEFAULT_FIRST = 5
DEFAULT_WATCH_S = 30.0
#: How often the watch looks.
POLL_S = 1.0


class ReplayError(Exception):
    """The letter's message cannot be sent again like this; the text says what to do. Nothing was sent."""


class LetterNotFound(ReplayError):
    """There is no such letter, or it is another org's: the caller cannot tell which."""


class NotReplayable(ReplayError):
    """Nothing can be sent that would be this message."""


class NeedsEdit(ReplayError):
    """Secrets were taken out of the payload, and nobody but the sender knows them.

    Attributes:
      paths: Where, dotted, within `args` and `kwargs`.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__(
            f"secrets were taken out of the payload at {', '.join(paths)}; edit the letter and fill them in"
        )
        self.paths = tuple(paths)


class AlreadyReplayed(ReplayError):
    """The letter's message was sent again before; say `again` to repeat that."""

    def __init__(self, message_id: str) -> None:
        super().__init__(f"sent again before, as message {message_id}; say --again to send it once more")
        self.message_id = message_id


class ReplayUncertain(ReplayError):
    """The broker failed while it was handed the message, which may have got there."""


@dataclass(frozen=True, kw_only=True)
class DeadLetterFilter:
    """Which letters are meant; what is None matters not."""

    category: str | None = None
    actor: str | None = None
    fingerprint: str | None = None

    def match(self, letter: DeadLetter) -> bool:
        """Return whether the letter is meant."""
        wanted = ((self.category, letter.category), (self.actor, letter.actor))
        return all(want in (None, has) for want, has in (*wanted, (self.fingerprint, letter.fingerprint)))


@dataclass(frozen=True, kw_only=True)
class ReplayReport:
    """What came of sending many."""

    #: Ids of the messages that were sent.
    sent: tuple[str, ...]
    #: Ids of the letters that these became within the watch.
    failed_again: tuple[str, ...]
    #: Letters that are meant, and would need an edit, or cannot be sent at all.
    left_out: int

    @property
    def stopped(self) -> bool:
        """Return whether it ended because some failed again."""
        return bool(self.failed_again)


class DeadLetterReplayer:
    """Sends messages again, for whoever sees their letters.

    A repeated message has an id of its own, the option `replay_of` with the letter's id, and no attempts behind
    it. Its letter stays, marked with that id, until somebody deletes it; a letter is marked before its message is
    sent, so that of two people who ask at once one succeeds.

    Parameters:
      broker: Knows the actors and takes the messages.
      box: The letters that may be touched.
      now_ms: Milliseconds since 1970; for tests. Default: this machine's clock.
      wait: Waits some seconds; for tests. Default `time.sleep`.
      monotonic: Seconds on a clock that only goes forward; for tests. Default `time.monotonic`.

    Example:
      >>> replays = DeadLetterReplayer(broker, store.of_org("acme"))
      >>> replays.retry("0a4c...")
      '6f1c...'
      >>> replays.retry_many(DeadLetterFilter(category="network")).stopped
      False
    """

    def __init__(
        self,
        broker: Broker,
        box: DeadLetterBox,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        wait: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._broker = broker
        self._box = box
        self._now_ms = now_ms
        self._wait = wait
        self._monotonic = monotonic

    def retry(self, letter_id: str, *, again: bool = False) -> str:
        """Send the letter's message again. Returns the new message's id.

        Parameters:
          letter_id: The letter.
          again: Also when that was done before. Default False.

        Raises:
          LetterNotFound, NotReplayable, NeedsEdit, AlreadyReplayed: Nothing was sent; the text says what to do.
          ReplayUncertain: The broker failed.
        """
        letter = self._letter(letter_id)
        if letter.redacted:
            raise NeedsEdit(letter.redacted)
        return self._send(letter, _payload(letter), again=again)

    def edit_and_retry(self, letter_id: str, payload: object, *, again: bool = False) -> str:
        """Send the letter's message again with another payload; what was changed is kept in the letter.

        Parameters:
          letter_id, again: As for `retry`.
          payload: JSON data for the actor's contract; `{"args": [...], "kwargs": {...}}` for an actor without.

        Raises:
          InvalidPayload: It does not fit the contract; the text has the path and reason of each fault.
          NeedsEdit: A secret is still missing.
          LetterNotFound, NotReplayable, AlreadyReplayed, ReplayUncertain: As for `retry`.
        """
        letter = self._letter(letter_id)
        edit = check_edit(self._broker, letter, payload)
        if edit.missing:
            raise NeedsEdit(edit.missing)
        return self._send(
            letter, edit.payload, again=again, changes=edit.changes, contract_version=edit.contract_version
        )

    def count(self, criteria: DeadLetterFilter, *, again: bool = False) -> int:
        """Count the messages that `retry_many` would send: those that were not yet, and need no edit."""
        return sum(1 for letter in self._matching(criteria, again) if _as_it_is(self._broker, letter))

    def retry_many(
        self,
        criteria: DeadLetterFilter,
        *,
        first: int = DEFAULT_FIRST,
        rest: bool = True,
        watch_s: float = DEFAULT_WATCH_S,
        again: bool = False,
    ) -> ReplayReport:
        """Send some of the messages, watch them, and send the rest in growing batches, unless one fails again.

        Failing again means: within the watch there is a letter of the repeated message. Each batch is twice as
        large as the one before.

        Parameters:
          criteria: Which letters are meant; the newest first, and none that comes while this runs.
          first: How many are sent first. Default 5.
          rest: Whether to go on after those. Default True.
          watch_s: How long each batch is watched, in seconds. Choose it longer than the messages take to fail for
            good, retries included. Default 30.
          again: As for `retry`.

        Raises:
          ReplayUncertain: The broker failed; what was sent before is sent.
        """
        if first < 1:
            raise ValueError(f"first must be at least 1, not {first}")
        sent: list[str] = []
        left_out = 0
        batch: dict[str, str] = {}
        size = first
        for letter in self._matching(criteria, again):
            if not _as_it_is(self._broker, letter):
                left_out += 1
                continue
            try:
                message_id = self._send(letter, _payload(letter), again=again)
            except AlreadyReplayed:  # by somebody else, since the page was read
                continue
            sent.append(message_id)
            batch[message_id] = letter_id(letter.org, message_id)
            if len(batch) == size:
                failed = self._watch(batch, watch_s)
                if failed or not rest:
                    return ReplayReport(sent=tuple(sent), failed_again=failed, left_out=left_out)
                batch, size = {}, size * 2
        return ReplayReport(sent=tuple(sent), failed_again=self._watch(batch, watch_s), left_out=left_out)

    def _watch(self, batch: Mapping[str, str], watch_s: float) -> tuple[str, ...]:
        until_s = self._monotonic() + watch_s
        while batch:
            failed = tuple(each for each in batch.values() if self._box.get(each) is not None)
            left_s = until_s - self._monotonic()
            if failed or left_s <= 0:
                return failed
            self._wait(min(POLL_S, left_s))
        return ()

    def _matching(self, criteria: DeadLetterFilter, again: bool) -> Iterator[DeadLetter]:
        after = None
        while True:
            if criteria.category is None:
                page = self._box.list(after=after, limit=MAX_PAGE)
            else:
                page = self._box.list_by_category(criteria.category, after=after, limit=MAX_PAGE)
            yield from (each for each in page if criteria.match(each) and (again or each.replayed_as is None))
            if len(page) < MAX_PAGE:
                return
            after = page[-1].cursor

    def _letter(self, letter_id: str) -> DeadLetter:
        letter = self._box.get(letter_id)
        if letter is None:
            raise LetterNotFound(f"no dead letter {letter_id}; `list` shows those you may see")
        fault = _fault(self._broker, letter)
        if fault:
            raise NotReplayable(fault)
        return letter

    def _send(
        self,
        letter: DeadLetter,
        payload: Mapping[str, Any],
        *,
        again: bool,
        changes: Sequence[Mapping[str, object]] = (),
        contract_version: int | None = None,
    ) -> str:
        if letter.replayed_as is not None and not again:
            raise AlreadyReplayed(letter.replayed_as)
        message = self._message(letter, payload, contract_version)
        marked = self._box.mark_replayed(
            letter.id,
            message.message_id,
            at_ms=self._now_ms(),
            instead_of=letter.replayed_as,
            changes=changes,
        )
        if not marked:
            now = self._box.get(letter.id)
            if now is None or now.replayed_as is None:
                raise LetterNotFound(f"dead letter {letter.id} was changed or deleted meanwhile; look again")
            raise AlreadyReplayed(now.replayed_as)
        try:
            self._broker.enqueue(message)
        except GuardError:
            self._box.mark_replayed(
                letter.id,
                letter.replayed_as,
                at_ms=letter.replayed_at_ms or 0,
                instead_of=message.message_id,
                changes=letter.changes,
            )
            raise
        except Exception as error:
            raise ReplayUncertain(
                f"the broker failed ({type(error).__name__}) while it was handed message {message.message_id}; "
                f"see whether it arrived, and if not, retry letter {letter.id} with --again"
            ) from error
        return message.message_id

    def _message(
        self, letter: DeadLetter, payload: Mapping[str, Any], contract_version: int | None
    ) -> "Message[Any]":
        actor = self._broker.get_actor(letter.actor or "")
        # A repeated message begins another life.
        dropped = names_of("life", "attempt")
        options = {name: value for name, value in letter.options.items() if name not in dropped}
        if contract_version is not None:
            options["contract_version"] = contract_version
        is_declared = letter.queue in self._broker.get_declared_queues()
        message: Message[Any] = Message(
            # An actor may have moved since, and a queue that nobody reads is no place to be sent to.
            queue_name=letter.queue if is_declared else actor.queue_name,
            actor_name=actor.actor_name,
            args=tuple(payload["args"]),
            kwargs=dict(payload["kwargs"]),
            # It was let in once; an older version of its contract is brought up to date by the worker.
            options={**options, ADMITTED: True, REPLAY_OF: letter.id},
        )
        mark_secrets(self._broker, message.asdict())
        return message


def _fault(broker: Broker, letter: DeadLetter) -> str | None:
    """Why nothing can be sent that would be this message; None when something can."""
    if letter.actor is None:
        return "these bytes are no message; find out who wrote them, and send a new message"
    if letter.actor not in broker.actors:
        return f"there is no actor {letter.actor} in this build; retry from one that has it"
    hidden = [path for path in letter.redacted if path.startswith("options.")]
    if hidden:
        return f"its options held secrets ({', '.join(hidden)}), which nobody can fill in; send a new message"
    return None


def _as_it_is(broker: Broker, letter: DeadLetter) -> bool:
    return letter.payload is not None and not letter.redacted and _fault(broker, letter) is None


def _payload(letter: DeadLetter) -> Mapping[str, Any]:
    if letter.payload is None:
        raise NotReplayable("its payload was not kept; edit the letter and give it one")
    return letter.payload
