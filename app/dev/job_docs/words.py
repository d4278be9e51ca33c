"""JSON Schema in words, for people who read a table."""

from collections.abc import Mapping
from typing import Any

from domain.contract import NO_NUL

Schema = Mapping[str, Any]

_FORMATS = {"uuid": "UUID", "date-time": "time with its zone", "password": "secret text"}
_TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
    "object": "object",
}


def type_in_words(schema: Schema) -> str:
    """What kind of value fits.

    Example:
        >>> type_in_words({"type": "array", "items": {"type": "string"}})
        'list of text'
    """
    if "$ref" in schema:
        return f"`{_name(schema)}`"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return "one of " + ", ".join(f"`{each}`" for each in schema["enum"])
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return " or ".join(type_in_words(each) for each in choices)
    if schema.get("type") == "array":
        return f"list of {type_in_words(schema.get('items', {}))}"
    extra = schema.get("additionalProperties")
    if schema.get("type") == "object" and isinstance(extra, dict):
        return f"object of {type_in_words(extra)} by name"
    return _FORMATS.get(str(schema.get("format")), _TYPES.get(str(schema.get("type")), "any JSON"))


def limits_in_words(schema: Schema) -> str:
    """What the value has to obey beside its type; empty when nothing.

    Example:
        >>> limits_in_words({"type": "integer", "minimum": 1, "maximum": 500})
        '1 to 500'
    """
    for each in schema.get("anyOf", ()):
        if each.get("type") != "null" and (prose := limits_in_words(each)):
            return prose
    parts = [
        _span(schema.get("minimum"), schema.get("maximum"), ""),
        _span(schema.get("minLength"), schema.get("maxLength"), " characters"),
        _span(schema.get("minItems"), schema.get("maxItems"), " of them"),
        _span(schema.get("minProperties"), schema.get("maxProperties"), " of them"),
    ]
    if "exclusiveMinimum" in schema:
        parts.append(f"more than {schema['exclusiveMinimum']}")
    if "exclusiveMaximum" in schema:
        parts.append(f"less than {schema['exclusiveMaximum']}")
    if schema.get("pattern") not in (None, NO_NUL):
        parts.append(f"like `{schema['pattern']}`")
    if schema.get("type") == "array" and (each := limits_in_words(schema.get("items", {}))):
        parts.append(f"each {each}")
    return ", ".join(part for part in parts if part)


def nested(schema: Schema) -> list[str]:
    """Names of the models that a value of this schema may hold, in the order they turn up."""
    found = [_name(schema)] if "$ref" in schema else []
    parts = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    parts += [schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]
    for part in parts:
        found += [name for name in nested(part) if name not in found]
    return found


def _name(schema: Schema) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _span(least: float | None, most: float | None, unit: str) -> str:
    if least is None and most is None:
        return ""
    if least is None:
        return f"at most {_number(most)}{unit}"
    if most is None:
        return f"at least {_number(least)}{unit}"
    if least == most:
        return f"{_number(least)}{unit}"
    return f"{_number(least)} to {_number(most)}{unit}"


def _number(value: float | None) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value}"
