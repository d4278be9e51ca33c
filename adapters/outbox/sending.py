"""Puts messages into the outbox, within the transaction that decides them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert

from adapters.database.tables.jobs import outbox
from adapters.database.unit_of_work import SystemUnitOfWork, UnitOfWork
from adapters.ids import uuid7
from domain.errors import InvalidInput

#: Longest delay, in milliseconds: a year. What is due later is somebody's schedule, not a message.
MAX_DELAY_MS = 365 * 24 * 60 * 60 * 1_000


@dataclass(frozen=True)
class EncodedMessage:
    """A message as the broker takes it."""

    data: bytes
    #: The org it works for; None for the platform's own.
    org_id: UUID | None


class EncodeMessage(Protocol):
    """Makes messages; it knows the actors, which this module does not."""

    def __call__(
        self,
        actor_name: str,
        contract: BaseModel | Mapping[str, object] | None,
        *,
        message_id: UUID,
        options: Mapping[str, object],
    ) -> EncodedMessage:
        """The complete message, its payload checked and normalised as `actor.send` does it.

        Raises:
            InvalidInput: the payload or an option is not what the actor takes; fields are named, values are not.
            PermanentError: there is no such actor in this process.
        """
        ...


class SqlOutbox:
    """Sends messages with the transaction that decides them: committed is sent, rolled back never was.

    Without it a job that is enqueued before the COMMIT may run for something that never came to be, and one that is
    enqueued after it is lost with the process that was about to. A relay in every worker hands what is committed to
    the broker, at once where the transaction was a worker's, else within a second. It is sent at least once; since
    a message keeps its id and is marked idempotent, it runs once.

    Parameters:
        encode: makes the messages.
        poke: called after a commit, to have a relay look at once; relays look by themselves as well. Default: nobody.
        new_id: makes ids of messages. Default `uuid7`.

    Example:
        >>> with UnitOfWork(engine, org_id) as unit:
        ...     unit.connection.execute(insert(publish_intents).values(...))
        ...     outbox.send(unit, "publish_execution", PublishExecution(org_id=org_id, intent_id=intent_id))
    """

    def __init__(
        self,
        encode: EncodeMessage,
        *,
        poke: Callable[[], None] = lambda: None,
        new_id: Callable[[], UUID] = uuid7,
    ) -> None:
        self._encode = encode
        self._poke = poke
        self._new_id = new_id

    def send(
        self,
        unit: UnitOfWork | SystemUnitOfWork,
        actor_name: str,
        contract: BaseModel | Mapping[str, object] | None,
        *,
        delay_ms: int = 0,
        concurrency: tuple[str, int] | None = None,
        time_limit_ms: int | None = None,
        message_id: UUID | None = None,
    ) -> UUID:
        """Have a message sent once `unit` is committed.

        Work that may be run again should bring its own `message_id`, made before the transaction or from what the
        message is about; else a run whose COMMIT nobody heard of sends one message, and the run after it another.

        Parameters:
            unit: the transaction; an org's sends for that org alone, the system's for whichever the contract names.
            actor_name: who gets the message.
            contract: what the actor takes; None for an actor that takes nothing.
            delay_ms: milliseconds from the beginning of the transaction before which it is not sent. Default 0.
            concurrency: `(key, n)`: at most n messages with the key run at once, per org. Default None.
            time_limit_ms: milliseconds an attempt may take. Default None: the actor's own limit.
            message_id: its id, unique over all orgs; one that is in the outbox already is left alone. Default None:
                a fresh one.

        Returns:
            The message's id.

        Raises:
            InvalidInput: a payload or an option that the actor does not take, or another org's contract; fields
                are named, values are not. Nothing was written.
            PermanentError: there is no such actor in this process. Nothing was written.
        """
        _check(delay_ms, concurrency, time_limit_ms)
        chosen = message_id or self._new_id()
        options: dict[str, object] = {}
        if concurrency is not None:
            options["concurrency"] = list(concurrency)
        if time_limit_ms is not None:
            options["time_limit"] = time_limit_ms
        encoded = self._encode(actor_name, contract, message_id=chosen, options=options)
        row = {
            "id": chosen,
            "org_id": _org(unit, encoded.org_id, actor_name),
            "actor": actor_name,
            "message": encoded.data,
            "due_at": func.now() + timedelta(milliseconds=delay_ms),
        }
        unit.connection.execute(insert(outbox).values(row).on_conflict_do_nothing(index_elements=["id"]))
        if not delay_ms:
            unit.after_commit(self._poke)
        return chosen


def _check(delay_ms: int, concurrency: tuple[str, int] | None, time_limit_ms: int | None) -> None:
    # What a relay finds out is refused again and again there, with nobody left to be told.
    if not 0 <= delay_ms <= MAX_DELAY_MS:
        raise InvalidInput(f"delay_ms must be 0 to {MAX_DELAY_MS}, not {delay_ms}")
    if concurrency is not None and (not concurrency[0] or concurrency[1] < 1):
        raise InvalidInput("concurrency must be a key and a number of at least 1, like ('run:7', 5)")
    if time_limit_ms is not None and time_limit_ms < 1:
        raise InvalidInput(f"time_limit_ms must be at least 1, not {time_limit_ms}")


def _org(unit: UnitOfWork | SystemUnitOfWork, org_id: UUID | None, actor_name: str) -> UUID | None:
    if isinstance(unit, SystemUnitOfWork):
        return org_id
    if org_id is not None and org_id != unit.org_id:
        raise InvalidInput(
            f"the message for {actor_name} is another org's; send it in a unit of work of that org"
        )
    return unit.org_id
