"""Takes secrets out of what is kept of a message.

A secret is a field that its contract marks: pydantic's `SecretStr` and `SecretBytes`, or any field with
`json_schema_extra={"secret": True}`. A message that carries other messages, in a pipeline, a group or a failure
callback, is cleaned of their secrets too.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from dramatiq import Broker
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from .payloads import contract_of

#: Stands where a secret stood.
PLACEHOLDER = "***"
#: Option in which a message says where its secrets are, for workers that do not know its contract.
SECRET_PATHS = "secret_paths"  # noqa: S105  # the name of an option

#: Shorter secrets are not looked for in texts: taking them out would leave holes in ordinary words.
SHORTEST_IN_TEXT = 6

#: Deepest nesting that is looked into, well within what Python's stack allows whoever reads it later.
MAX_DEPTH = 150

#: Options have no contract: there a name has to do.
_TELLING_NAME = re.compile(
    r"secret|passw|token|api_?key|private_?key|authorization|credential", re.IGNORECASE
)

Path: TypeAlias = tuple[str | int, ...]


class Redaction:
    """Cleans one message, and remembers what it took out and where.

    Parameters:
      broker: Knows the actors and so their contracts.

    Example:
      >>> redaction = Redaction(broker)
      >>> clean = redaction.message(message.asdict())
      >>> redaction.paths
      [('args', 0, 'token')]
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.paths: list[Path] = []
        self._texts: set[str] = set()

    def message(self, fields: Mapping[str, Any], at: Path = ()) -> dict[str, Any]:
        """A copy of a message's fields as plain JSON data, without secrets.

        Raises:
          ValueError: They are nested too deep to be looked into.
        """
        clean = {name: self._plain(value, (*at, name)) for name, value in fields.items()}
        for path in _marked(self._broker, clean):
            if _present(clean, path):
                self._take_out(clean, path, at)
        for name in ("args", "kwargs"):
            clean[name] = self._inner(clean.get(name), (*at, name))
        clean["options"] = self._options(clean.get("options"), (*at, "options"))
        return clean

    def text(self, text: str) -> str:
        """The text without the secrets that were taken out of the message so far."""
        for secret in sorted(self._texts, key=len, reverse=True):
            text = text.replace(secret, PLACEHOLDER)
        return text

    def texts(self, value: Any) -> Any:
        """JSON data whose texts went through `text`."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self.texts(each) for key, each in value.items()}
        return [self.texts(each) for each in value] if isinstance(value, list) else value

    def _take_out(self, root: dict[str, Any], path: Path, at: Path) -> None:
        parent = root
        for step in path[:-1]:
            parent = parent[step]  # type: ignore[index]  # a path that was found leads on
        for leaf in _leaves(parent[path[-1]]):  # type: ignore[index]
            self._texts |= _spellings(leaf)
        parent[path[-1]] = PLACEHOLDER  # type: ignore[index]
        self.paths.append((*at, *path))

    def _inner(self, value: Any, at: Path) -> Any:
        if _is_message(value):
            return self.message(value, at)
        if isinstance(value, dict):
            return {key: self._inner(each, (*at, key)) for key, each in value.items()}
        if isinstance(value, list):
            return [self._inner(each, (*at, index)) for index, each in enumerate(value)]
        return value

    def _options(self, value: Any, at: Path) -> Any:
        if _is_message(value):
            return self.message(value, at)
        if isinstance(value, list):
            return [self._options(each, (*at, index)) for index, each in enumerate(value)]
        if not isinstance(value, dict):
            return value
        clean = {key: self._options(each, (*at, key)) for key, each in value.items() if key != SECRET_PATHS}
        for key in [key for key in clean if _TELLING_NAME.search(key) and clean[key] not in (None, "")]:
            self._take_out(clean, (key,), at)
        return clean

    def _plain(self, value: Any, at: Path) -> Any:
        if len(at) > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, BaseModel):
            return self._plain(value.model_dump(mode="json"), at)
        if isinstance(value, Mapping):
            return {str(key): self._plain(each, (*at, str(key))) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._plain(each, (*at, index)) for index, each in enumerate(value)]
        if value is None or isinstance(value, str | bool | int | float):
            return value
        # Only encoders other than JSON let such things into a message; what cannot be kept has to be filled in.
        self.paths.append(at)
        return PLACEHOLDER


def secret_paths(model: type[BaseModel], value: Any) -> list[Path]:
    """Where `value`, JSON data for `model`, holds secrets; it need not be valid.

    Example:
      >>> secret_paths(Publish, {"site": "x", "login": {"password": "..."}})
      [('login', 'password')]
    """
    found: list[Path] = []
    for schema in _schemas(model):
        found += [path for path in _find(schema, schema.get("$defs", {}), value, ()) if path not in found]
    return found


def mark_secrets(broker: Broker, fields: Mapping[str, Any]) -> None:
    """Write into a message's options, and into those of messages it carries, where its secrets are.

    Parameters:
      broker: Knows the contracts.
      fields: Of the message; `options` is changed in place, where there is a secret.
    """
    options = fields.get("options")
    if not isinstance(options, dict):
        return
    paths = _contract_paths(broker, fields)
    if paths:
        options[SECRET_PATHS] = [list(path) for path in paths]
    for inner in _messages(options):
        mark_secrets(broker, inner)


def _marked(broker: Broker, fields: Mapping[str, Any]) -> list[Path]:
    """The contract's word where there is one, and the sender's."""
    options = fields.get("options")
    reported = options.get(SECRET_PATHS) if isinstance(options, dict) else None
    paths = _contract_paths(broker, fields)
    for each in reported if isinstance(reported, list) else ():
        if _is_path(each) and tuple(each) not in paths:
            paths.append(tuple(each))
    # Outer ones first: below a secret that is gone there is nothing left.
    return sorted(paths, key=len)


def _is_path(note: Any) -> bool:
    """Whether a note in a message, which anybody may have written, names a place in its payload."""
    steps = note if isinstance(note, list) else []
    return (
        len(steps) > 1
        and steps[0] in ("args", "kwargs")
        and all(isinstance(each, str | int) for each in steps)
    )


def _contract_paths(broker: Broker, fields: Mapping[str, Any]) -> list[Path]:
    actor = broker.actors.get(str(fields.get("actor_name")))
    model = contract_of(actor) if actor else None
    if model is None or not _schemas(model):
        return []
    args, kwargs = fields.get("args") or (), fields.get("kwargs") or {}
    # A forged message may hold several values, or the fields as keywords: each is looked at as the payload.
    at: list[tuple[Path, Any]] = [(("args", index), each) for index, each in enumerate(args)]
    at += [(("kwargs", key), each) for key, each in kwargs.items()] + [(("kwargs",), kwargs)]
    return [(*start, *path) for start, value in at for path in secret_paths(model, _as_json(value)) if path]


class _Lenient(GenerateJsonSchema):
    """A field whose type JSON Schema cannot say stands as one that may be anything, instead of failing the rest."""

    def handle_invalid_for_json_schema(
        self, schema: core_schema.CoreSchema, error_info: str
    ) -> JsonSchemaValue:
        return {}


@lru_cache(maxsize=1024)
def _schemas(model: type[BaseModel]) -> tuple[dict[str, Any], ...]:
    """The model's schemas by field names and by aliases; none when it has no secret."""
    both = (
        model.model_json_schema(by_alias=by_alias, schema_generator=_Lenient) for by_alias in (False, True)
    )
    return tuple(each for each in both if _mentions_secret(each))


def _mentions_secret(node: Any) -> bool:
    if isinstance(node, dict):
        return _is_secret(node) or any(map(_mentions_secret, node.values()))
    return isinstance(node, list) and any(map(_mentions_secret, node))


def _is_secret(schema: Mapping[str, Any]) -> bool:
    return schema.get("secret") is True or (
        schema.get("writeOnly") is True and schema.get("format") == "password"
    )


def _find(
    schema: Any, definitions: Mapping[str, Any], value: Any, path: Path, refs: frozenset[str] = frozenset()
) -> Iterator[Path]:
    if not isinstance(schema, dict) or value in (None, ""):
        return
    if _is_secret(schema):
        yield path
        return
    ref = schema.get("$ref")
    if isinstance(ref, str) and ref not in refs:
        yield from _find(definitions.get(ref.rpartition("/")[2]), definitions, value, path, refs | {ref})
    for union in ("anyOf", "oneOf", "allOf"):
        for each in schema.get(union, ()):
            yield from _find(each, definitions, value, path, refs)
    if isinstance(value, dict):
        named, others = schema.get("properties", {}), schema.get("additionalProperties")
        for key, each in value.items():
            yield from _find(named.get(key, others), definitions, each, (*path, key))
    elif isinstance(value, list):
        first, rest = schema.get("prefixItems", ()), schema.get("items")
        for index, each in enumerate(value):
            item = first[index] if index < len(first) else rest
            yield from _find(item, definitions, each, (*path, index))


def _as_json(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and {"actor_name", "args", "kwargs", "options"} <= value.keys()


def _messages(value: Any) -> Iterator[dict[str, Any]]:
    """The outermost messages within JSON data."""
    if _is_message(value):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _messages(each)


def _present(root: Any, path: Path) -> bool:
    for step in path:
        keys = root.keys() if isinstance(root, dict) else range(len(root)) if isinstance(root, list) else ()
        if step not in keys:
            return False
        root = root[step]
    return bool(path) and root not in (None, "")


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _spellings(secret: str) -> set[str]:
    """The secret as it is, and as `repr` and JSON write it."""
    if len(secret) < SHORTEST_IN_TEXT:
        return set()
    return {
        secret,
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    }


def as_text(paths: Sequence[Path]) -> tuple[str, ...]:
    """Paths as they are shown: dotted, in order, each once.

    Example:
      >>> as_text([("args", 0, "token")])
      ('args.0.token',)
    """
    return tuple(sorted({".".join(map(str, each)) for each in paths}))
