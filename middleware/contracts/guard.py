"""Contracts: what an actor's messages look like, checked when they are sent and again when they are performed."""

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from dramatiq import Actor, Broker, Message, Worker
from dramatiq.broker import MessageProxy
from pydantic import BaseModel

from ..base.bounds import check_at_least
from ..base.delegation import SupportsParking
from ..base.errors import Fault, GuardError, InvalidPayload, Parked
from ..base.guard import Guard, Option, Position
from ..base.payloads import contract_of, dumps, json_schemas, normalise, parse, version_of
from ..base.poller import Poller, shared_poller
from ..retries import Retries
from .held_messages import Release, version_key

__all__ = ["Contracts", "UnknownVersion", "contract_of", "json_schemas", "normalise", "parse", "version_of"]

#: The largest payload a message may carry, in bytes of JSON.
DEFAULT_MAX_PAYLOAD_BYTES = 1_000_000
#: How often a message of a newer version is offered again, or let go, and how long in all, in milliseconds.
DEFAULT_HOLD_MS = 30_000
DEFAULT_HOLD_MAX_MS = 24 * 60 * 60 * 1_000

#: Option of a message of a newer version: since when it is held, in milliseconds since 1970.
HELD_SINCE = "held_since"

#: Turns the payload of one version into that of the next.
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


class UnknownVersion(GuardError):
    """The message's contract is newer than this build, or so old that nothing leads to today's."""

    category: ClassVar[str] = "version"


class Contracts(Guard):
    """Checks every message against the pydantic model its actor is annotated with.

    Without it a typo in a payload is found by the worker, minutes later, one retry after the other; a payload of
    the next release reaches a worker of this one and fails. With it

    - `send` raises `InvalidPayload` in the caller's face, and nothing is enqueued;
    - a payload that is wrong all the same when it is performed is final at once, category `validation`;
    - a payload of an older version is brought up to date by the actor's `upcasters`;
    - a payload of a newer version is held for a newer worker: offered again every `hold_ms`, uncharged, and
      rejected with category `version` when none came within `hold_max_ms`.

    On a broker that can let parked messages go early (see `base.delegation`; the stack needs our `Retries`), such a
    message is parked once, until a worker that knows its version lets it go. Each worker does so when it boots and
    every `hold_ms`, also for what the broker itself holds since no worker knew its actor.

    An actor takes part when it has exactly one parameter and that parameter is annotated with a pydantic
    model. Callers send the model or a plain mapping; the message always holds plain JSON; the function always
    gets the model. A model's `contract_version` (a class attribute, 1 without) travels with the message, and its
    `org_id` becomes the message's option `org`.

        >>> class Resize(BaseModel):
        ...     image_id: int
        >>> broker.add_middleware(Contracts())
        >>> @dramatiq.actor
        ... def resize(job: Resize) -> None: ...
        >>> resize.send(Resize(image_id=7))
        >>> resize.send({"image_id": "seven"})
        InvalidPayload: resize refuses this payload: image_id: Input should be a valid integer

    Parameters:
      max_payload_bytes: The largest payload accepted at send, as bytes of JSON. Default 1,000,000.
      hold_ms: Milliseconds between two offers of a newer message, or between two times that a worker lets go what
        it knows. Default 30,000.
      hold_max_ms: Milliseconds after which it is dead-lettered. Default 24 hours.
      flags: The poll that lets messages go. Default the process's own, shared with other guards.
      now_ms: Milliseconds since 1970; for tests. Default: this machine's clock.

    Actor option `upcasters`: `{1: from_1_to_2, 2: from_2_to_3}`, each from a plain mapping to a plain mapping.
    """

    checks_payload = True
    position = Position.VALIDATE
    actor_options: ClassVar[set[str]] = {"upcasters"}
    message_options = (Option("contract_version", "caller"), Option(HELD_SINCE, "attempt"))

    def __init__(
        self,
        *,
        max_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES,
        hold_ms: int = DEFAULT_HOLD_MS,
        hold_max_ms: int = DEFAULT_HOLD_MAX_MS,
        flags: Poller | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        super().__init__()
        check_at_least(1, max_payload_bytes=max_payload_bytes, hold_ms=hold_ms)
        if hold_max_ms < hold_ms:
            raise ValueError(f"hold_max_ms must be at least hold_ms ({hold_ms}), not {hold_max_ms}")
        self.max_payload_bytes = max_payload_bytes
        self.hold_ms = hold_ms
        self.hold_max_ms = hold_max_ms
        self._now_ms = now_ms
        self._flags = flags or shared_poller()
        self._release: Release | None = None

    def before_declare_actor(self, broker: Broker, actor: "Actor[..., Any]") -> None:
        model = contract_of(actor)
        if model is not None:
            _give_the_function_the_model(actor, model)

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        super().before_worker_boot(broker, worker)
        if _can_hold(broker):
            self._release = Release(broker, every_s=self.hold_ms / 1_000)
            self._flags.add("held messages", self._release)

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        if self._release is not None:
            self._flags.remove(self._release)

    def check(self, broker: Broker, message: "Message[Any]", delay: int | None) -> None:
        model = _model(broker, message.actor_name)
        # What another release made, and an outbox kept since, is for `admit`, which knows what to do with versions.
        if model is not None and message.options.get("contract_version") in (None, version_of(model)):
            payload = normalise(message, model, self.max_payload_bytes)
            _take_org(message, payload)
            message.options["contract_version"] = version_of(model)
            _replace_payload(message, payload)
        self._check_pipeline(broker, message.options.get("pipe_target"))

    def admit(self, broker: Broker, message: MessageProxy) -> None:
        model = _model(broker, message.actor_name)
        if model is None:
            return
        known, sent = version_of(model), int(message.options.get("contract_version", version_of(model)))
        if sent > known:
            self._hold(broker, message, sent, known)
        if sent < known:
            upcasters = broker.get_actor(message.actor_name).options.get("upcasters") or {}
            _replace_payload(message._message, _upcast(message, upcasters, sent, known))
            message.options["contract_version"] = known

    def _hold(self, broker: Broker, message: MessageProxy, sent: int, known: int) -> None:
        now_ms = self._now_ms()
        left_ms = int(message.options.setdefault(HELD_SINCE, now_ms)) + self.hold_max_ms - now_ms
        if left_ms <= 0:
            raise UnknownVersion(
                f"contract version {sent} of {message.actor_name} found no worker that knows it (this one knows "
                f"{known}); deploy the newer release and replay the message"
            )
        cause, name = "held for a newer version", message.actor_name
        if _can_hold(broker):
            raise Parked(cause, delay_ms=left_ms, key=version_key(name, sent))
        raise Parked(cause, delay_ms=self.hold_ms, key=f"version:{name}")

    def _check_pipeline(self, broker: Broker, target: Any) -> None:
        """Models in the later steps of a pipeline would break the encoder: they become JSON now."""
        while isinstance(target, dict):
            model = _model(broker, str(target.get("actor_name")))
            args = target.get("args") or ()
            if model is not None and any(isinstance(each, BaseModel) for each in args):
                step: Message[Any] = Message(**target)
                target["args"] = (normalise(step, model, self.max_payload_bytes),)
            target = target.get("options", {}).get("pipe_target")


def _can_hold(broker: Broker) -> bool:
    # Dramatiq's own retries would park it without a word of what it waits for.
    return isinstance(broker, SupportsParking) and any(
        isinstance(each, Retries) for each in broker.middleware
    )


def _model(broker: Broker, actor_name: str) -> type[BaseModel] | None:
    actor = broker.actors.get(actor_name)
    return contract_of(actor) if actor else None


def _take_org(message: "Message[Any]", payload: Mapping[str, Any]) -> None:
    org = payload.get("org_id")
    if org is not None and message.options.setdefault("org", org) != org:
        raise InvalidPayload(
            message.actor_name, [Fault("org_id", "is not the org that the message's option `org` names")]
        )


def _replace_payload(message: "Message[Any]", payload: dict[str, Any]) -> None:
    # A message is frozen, yet these are the places that turn what the caller passed into what is stored.
    object.__setattr__(message, "args", (payload,))
    message.kwargs.clear()


def _upcast(
    message: MessageProxy, upcasters: Mapping[int, Upcaster], sent: int, known: int
) -> dict[str, Any]:
    payload: dict[str, Any] = dict(message.args[0])
    for version in range(sent, known):
        if version not in upcasters:
            raise UnknownVersion(
                f"nothing leads from version {version} to {version + 1} of {message.actor_name}'s contract; "
                f"add it to the actor's `upcasters` and replay the message"
            )
        payload = upcasters[version](payload)
    return payload


def _give_the_function_the_model(actor: "Actor[..., Any]", model: type[BaseModel]) -> None:
    inner = actor.fn
    if getattr(inner, "_gets_contract", False):
        return

    @functools.wraps(inner)
    def checked(payload: object) -> Any:
        if isinstance(payload, model):
            return inner(payload)
        return inner(parse(actor.actor_name, model, dumps(actor.actor_name, payload)))

    checked._gets_contract = True  # type: ignore[attr-defined]  # functions take attributes
    actor.fn = checked
