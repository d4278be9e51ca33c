"""Contracts: what an actor's messages look like, checked when they are sent and again when they are performed."""

import functools
import inspect
import json
from typing import Any, TypeVar, get_type_hints

from dramatiq import Actor, Broker, Message
from pydantic import BaseModel, ValidationError

from .errors import Fault, InvalidPayload
from .guard import Guard

#: The largest payload a message may carry, in bytes of JSON.
DEFAULT_MAX_PAYLOAD_BYTES = 1_000_000

ModelT = TypeVar("ModelT", bound=BaseModel)


class Contracts(Guard):
    """Checks every message against the pydantic model its actor is annotated with.

    Without it a typo in a payload is found by the worker, minutes later, one retry after the other. With it
    `send` raises `InvalidPayload` in the caller's face and nothing is enqueued.

    An actor takes part when it has exactly one parameter and that parameter is annotated with a pydantic
    model. Callers send the model or a plain mapping; the message always holds plain JSON; the function always
    gets the model.

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
    """

    def __init__(self, *, max_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES) -> None:
        if max_payload_bytes < 1:
            raise ValueError(f"max_payload_bytes must be at least 1, not {max_payload_bytes}")
        super().__init__()
        self.max_payload_bytes = max_payload_bytes

    def before_declare_actor(self, broker: Broker, actor: "Actor[..., Any]") -> None:
        model = contract_of(actor)
        if model is not None:
            _give_the_function_the_model(actor, model)

    def after_declare_actor(self, broker: Broker, actor: "Actor[..., Any]") -> None:
        # Only needed for actors that were declared before this guard was added.
        self.before_declare_actor(broker, actor)

    def check(self, broker: Broker, message: "Message[Any]", delay: int | None) -> None:
        actor = broker.actors.get(message.actor_name)
        model = contract_of(actor) if actor else None
        if model is None:
            return
        payload = normalise(message, model, self.max_payload_bytes)
        # A message is frozen, yet this is the one place to turn what the caller passed into what is stored.
        object.__setattr__(message, "args", (payload,))
        message.kwargs.clear()


def contract_of(actor: "Actor[..., Any]") -> type[BaseModel] | None:
    """The model an actor's single parameter is annotated with; None when it has no such parameter.

    Example:
        >>> contract_of(resize)
        <class 'Resize'>
    """
    fn = inspect.unwrap(actor.fn)
    parameters = list(inspect.signature(fn).parameters.values())
    if len(parameters) != 1:
        return None
    annotation = get_type_hints(fn).get(parameters[0].name)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def normalise(message: "Message[Any]", model: type[BaseModel], max_payload_bytes: int) -> dict[str, Any]:
    """The message's payload as plain JSON data that fits `model`.

    Raises:
        InvalidPayload: it does not fit, is not JSON, is too large, or is not a single payload.
    """
    name = message.actor_name
    values = [*message.args, *message.kwargs.values()]
    if len(values) != 1:
        raise InvalidPayload(name, [Fault("payload", f"send one {model.__name__}, not {len(values)} values")])
    encoded = values[0].model_dump_json() if isinstance(values[0], BaseModel) else _dumps(name, values[0])
    size_bytes = len(encoded.encode())
    if size_bytes > max_payload_bytes:
        reason = f"{size_bytes} bytes of JSON, at most {max_payload_bytes} allowed; store it and send its id"
        raise InvalidPayload(name, [Fault("payload", reason)])
    normalised: dict[str, Any] = json.loads(parse(name, model, encoded).model_dump_json())
    return normalised


def parse(actor_name: str, model: type[ModelT], encoded: str) -> ModelT:
    """The model that a payload's JSON stands for.

    Raises:
        InvalidPayload: with one fault for each field that is wrong, never its value.
    """
    try:
        return model.model_validate_json(encoded)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        faults = [Fault(".".join(map(str, each["loc"])) or "payload", each["msg"]) for each in details]
        raise InvalidPayload(actor_name, faults) from None


def _give_the_function_the_model(actor: "Actor[..., Any]", model: type[BaseModel]) -> None:
    inner = actor.fn
    if getattr(inner, "_gets_contract", False):
        return

    @functools.wraps(inner)
    def checked(payload: object) -> Any:
        if isinstance(payload, model):
            return inner(payload)
        return inner(parse(actor.actor_name, model, _dumps(actor.actor_name, payload)))

    checked._gets_contract = True  # type: ignore[attr-defined]  # functions take attributes
    actor.fn = checked


def _dumps(actor_name: str, payload: object) -> str:
    try:
        return json.dumps(payload, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidPayload(actor_name, [Fault("payload", f"is not plain JSON ({error})")]) from None
