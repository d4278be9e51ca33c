"""Payloads as plain JSON, and the pydantic models they stand for: the one normaliser of the library."""

import inspect
import json
from typing import Any, TypeVar, get_type_hints
from weakref import WeakKeyDictionary

from dramatiq import Actor, Broker, Message
from pydantic import BaseModel, Secret, SecretBytes, SecretStr, ValidationError
from pydantic_core import PydanticSerializationError

from .differences import differences
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
    """The message's payload as plain JSON data, by field names, from which `parse` makes exactly what was sent.

    Raises:
        InvalidPayload: it does not fit, is not JSON, is too large, is not a single payload, or would arrive as
            something else: a subclass of the model, a field that is left out when it is written, and the like.
    """
    name = message.actor_name
    values = [*message.args, *message.kwargs.values()]
    if len(values) != 1:
        raise InvalidPayload(name, [Fault("payload", f"send one {model.__name__}, not {len(values)} values")])
    (value,) = values
    if not isinstance(value, BaseModel):
        encoded = dumps(name, value)
        _check_size(name, encoded, max_payload_bytes)
        value = parse(name, model, encoded)
    plain = _plain(name, value, by_alias=False)
    encoded = dumps(name, plain)
    _check_size(name, encoded, max_payload_bytes)
    faults = _faults(name, model, value, encoded)
    if faults:
        # A validator that looks at what comes in may know nothing but aliases.
        aliased = _plain(name, value, by_alias=True)
        if plain.get("org_id") != aliased.get("org_id") or _faults(name, model, value, dumps(name, aliased)):
            raise InvalidPayload(name, faults)
        return aliased
    return plain


def parse(actor_name: str, model: type[ModelT], encoded: str) -> ModelT:
    """The model that a payload's JSON stands for, with fields by their names or by their aliases.

    Raises:
        InvalidPayload: with one fault for each field that is wrong, never its value.
    """
    try:
        return model.model_validate_json(encoded, by_alias=True, by_name=True)
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


def _check_size(name: str, encoded: str, max_payload_bytes: int) -> None:
    size_bytes = len(encoded.encode())
    if size_bytes > max_payload_bytes:
        reason = f"{size_bytes} bytes of JSON, at most {max_payload_bytes} allowed; store it and send its id"
        raise InvalidPayload(name, [Fault("payload", reason)])


def _faults(name: str, model: type[BaseModel], sent: BaseModel, encoded: str) -> list[Fault]:
    """What is wrong with a payload as what was sent; nothing when it arrives as it is."""
    try:
        return differences(sent, parse(name, model, encoded))
    except InvalidPayload as error:
        return error.faults
    except Exception as error:  # noqa: BLE001  # a validator's own, which may be any
        return [Fault("payload", f"cannot be read back: a validator raises {type(error).__name__}")]


def _plain(actor_name: str, model: BaseModel, *, by_alias: bool) -> dict[str, Any]:
    """The model as plain JSON data. Secrets too: the message has to carry what the job will need."""
    try:
        # For a round trip: computed fields are left out, and what `Json` has read is written as the text it was.
        plain = json.loads(model.model_dump_json(by_alias=by_alias, round_trip=True, warnings=False))
        revealed = _revealed(model.model_dump(by_alias=by_alias, round_trip=True, warnings=False), plain)
    except (PydanticSerializationError, TypeError, ValueError, RecursionError) as error:
        # Their texts may quote values.
        fault = Fault("payload", f"cannot be written as JSON ({type(error).__name__})")
        raise InvalidPayload(actor_name, [fault]) from None
    if not isinstance(revealed, dict):
        raise InvalidPayload(actor_name, [Fault("payload", "is no JSON object when it is written")])
    return revealed


def _revealed(value: Any, plain: Any) -> Any:
    """What pydantic wrote, with the asterisks that it writes for secrets replaced by them."""
    if isinstance(value, SecretStr | Secret):
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
