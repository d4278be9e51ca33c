"""Payloads as plain JSON, and the pydantic models they stand for: the one normaliser of the library."""

import inspect
import json
from typing import Any, TypeVar, get_type_hints
from weakref import WeakKeyDictionary

from dramatiq import Actor, Broker, Message
from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError

from .errors import Fault, InvalidPayload

ModelT = TypeVar("ModelT", bound=BaseModel)

_contracts: "WeakKeyDictionary[Actor[..., Any], type[BaseModel] | None]" = WeakKeyDictionary()


def contract_of(actor: "Actor[..., Any]") -> type[BaseModel] | None:
    """The model an actor's single parameter is annotated with; None when it has no such parameter.

    Example:
        >>> contract_of(resize)
        <class 'Resize'>
    """
    if actor not in _contracts:  # reading annotations costs more than the rest of a send
        _contracts[actor] = _read_contract(actor)
    return _contracts[actor]


def normalise(message: "Message[Any]", model: type[BaseModel], max_payload_bytes: int) -> dict[str, Any]:
    """The message's payload as plain JSON data that fits `model`.

    Raises:
        InvalidPayload: it does not fit, is not JSON, is too large, or is not a single payload.
    """
    name = message.actor_name
    values = [*message.args, *message.kwargs.values()]
    if len(values) != 1:
        raise InvalidPayload(name, [Fault("payload", f"send one {model.__name__}, not {len(values)} values")])
    encoded = dumps(name, _plain(values[0]) if isinstance(values[0], BaseModel) else values[0])
    size_bytes = len(encoded.encode())
    if size_bytes > max_payload_bytes:
        reason = f"{size_bytes} bytes of JSON, at most {max_payload_bytes} allowed; store it and send its id"
        raise InvalidPayload(name, [Fault("payload", reason)])
    return _plain(parse(name, model, encoded))


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


def version_of(model: type[BaseModel]) -> int:
    """The version a contract says it has, `contract_version` on the model; 1 when it says nothing.

    Example:
        >>> class Resize(BaseModel):
        ...     contract_version: ClassVar[int] = 2
        >>> version_of(Resize)
        2
    """
    version = getattr(model, "contract_version", 1)
    return version if isinstance(version, int) else 1


def json_schemas(broker: Broker) -> dict[str, dict[str, Any]]:
    """The JSON Schema of every contract, by actor, with its version under `x-contract-version`.

    Example:
        >>> json_schemas(broker)["resize"]["required"]
        ['image_id']
    """
    found: dict[str, dict[str, Any]] = {}
    for name, actor in sorted(broker.actors.items()):
        model = contract_of(actor)
        if model is not None:
            found[name] = {**model.model_json_schema(), "x-contract-version": version_of(model)}
    return found


def dumps(actor_name: str, payload: object) -> str:
    """The payload as JSON text.

    Raises:
        InvalidPayload: it is not plain JSON data.
    """
    try:
        return json.dumps(payload, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidPayload(actor_name, [Fault("payload", f"is not plain JSON ({error})")]) from None


def _read_contract(actor: "Actor[..., Any]") -> type[BaseModel] | None:
    fn = inspect.unwrap(actor.fn)
    parameters = list(inspect.signature(fn).parameters.values())
    if len(parameters) != 1:
        return None
    annotation = get_type_hints(fn).get(parameters[0].name)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _plain(model: BaseModel) -> dict[str, Any]:
    """The model as plain JSON data. Secrets too: the message has to carry what the job will need."""
    plain: dict[str, Any] = json.loads(model.model_dump_json())
    revealed = _revealed(model.model_dump(), plain)
    return revealed if isinstance(revealed, dict) else plain


def _revealed(value: Any, plain: Any) -> Any:
    """What pydantic wrote, with the asterisks that it writes for secrets replaced by them."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, SecretBytes):
        return value.get_secret_value().decode()
    if isinstance(value, dict) and isinstance(plain, dict):
        return {
            name: _revealed(inner, each)
            for (name, each), inner in zip(plain.items(), value.values(), strict=True)
        }
    if isinstance(value, list | tuple) and isinstance(plain, list):
        return [_revealed(inner, each) for inner, each in zip(value, plain, strict=True)]
    return plain
