"""What WordPress sends back, read through what its plugins print around it."""

import html
import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, field_validator

from adapters.net.replies import HttpReply

#: Places in a reply at which its JSON is looked for.
MAX_STARTS = 200

_BOM = b"\xef\xbb\xbf"
_DECODER = json.JSONDecoder()

#: How pages for readers begin, which may have JSON of their own somewhere.
_PAGE = re.compile(r"\s*(?:<!--.*?-->\s*)*<(?:!doctype|html|head|\?xml)\b", re.IGNORECASE | re.DOTALL)
#: One of these stands in each object that the API answers with.
_FIELDS = frozenset({"id", "code", "namespaces", "capabilities", "roles"})

ModelT = TypeVar("ModelT", bound=BaseModel)


class Reply(BaseModel):
    """What a reply says; what it says besides is left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class RestPost(Reply):
    """A post."""

    id: int = Field(ge=1)
    slug: str = Field(max_length=400)
    status: str = Field(max_length=40)
    link: str | None = Field(default=None)
    text: str | None = Field(default=None, validation_alias="content")
    """Its text as the site keeps it; None where that was not asked for."""

    @field_validator("text", mode="before")
    @classmethod
    def _raw(cls, given: object) -> object:
        raw = _field(given, "raw")
        return raw if isinstance(raw, str) else None


class RestPosts(RootModel[list[RestPost]]):
    """A page of them."""


class RestMedia(Reply):
    """A media file."""

    id: int = Field(ge=1)
    slug: str = Field(default="", max_length=400)


class RestMediaFiles(RootModel[list[RestMedia]]):
    """A page of them."""


class RestNamed(Reply):
    """A category, a tag or a user."""

    id: int = Field(ge=1)
    name: str = Field(default="", max_length=1_000)
    slug: str = Field(default="", max_length=400)

    def is_called(self, name: str) -> bool:
        """True if that is its name, however it is written."""
        return _plain(html.unescape(self.name)) == _plain(name)


class RestNames(RootModel[list[RestNamed]]):
    """A page of them."""


class RestUser(Reply):
    """The user who signed in."""

    capabilities: frozenset[str] | None = None
    """What they may do; None where the site does not say."""
    roles: frozenset[str] | None = None

    @field_validator("capabilities", "roles", mode="before")
    @classmethod
    def _named(cls, given: object) -> object:
        # PHP writes an empty map as a list; plugins keep names in lists, and 1, "1" or "" for yes and no.
        if isinstance(given, dict):
            return frozenset(
                str(name) for name, value in given.items() if value not in (False, None, 0, "", "0")
            )
        if isinstance(given, list):
            return frozenset(str(each) for each in given)
        return None


class _Object(RootModel[dict[str, object]]):
    """Whatever is one thing."""


class Refusal(Reply):
    """Why something was refused, as far as the site says so in its own words.

    A parameter that does not fit may have a reason of its own below it, like a user who may not use it.
    """

    code: str = ""
    data: Any = None

    def reasons(self, status: int) -> Iterator[tuple[str, int]]:
        """Codes with their statuses, the deepest first.

        Parameters:
            status: the reply's own.
        """
        for detail in self._below("details").values():
            code, data = _field(detail, "code"), _field(detail, "data")
            below = _field(data, "status")
            if isinstance(code, str) and isinstance(below, int):
                yield code, below
        yield self.code, status

    @property
    def params(self) -> frozenset[str]:
        """Names of parameters that do not fit."""
        return frozenset(self._below("params")) | frozenset(self._below("details"))

    def number(self, name: str) -> int | None:
        """A number that stands beside the reason."""
        value = _field(self.data, name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def _below(self, name: str) -> dict[str, object]:
        value = _field(self.data, name)
        return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def read(model: type[ModelT], reply: HttpReply) -> ModelT | None:
    """The reply as a model; None if it is nothing of the kind.

    A byte order mark, warnings of PHP and whatever else stands around the JSON are passed over.
    """
    body = reply.body
    while body.startswith(_BOM):
        body = body.removeprefix(_BOM).lstrip()
    try:
        return model.model_validate_json(body)
    except ValidationError:
        text = body.decode("utf-8", "replace")
        return None if _PAGE.match(text) else _embedded(model, text, reply)


def is_from_api(reply: HttpReply) -> bool:
    """True if WordPress's REST API wrote it, whatever it says."""
    if "X-WP-Total" in reply.headers or read(RestPosts, reply) is not None:
        return True
    answer = read(_Object, reply)
    return answer is not None and not _FIELDS.isdisjoint(answer.root)


def _embedded(model: type[ModelT], text: str, reply: HttpReply) -> ModelT | None:
    best: tuple[int, ModelT] | None = None
    for count, start in enumerate(re.finditer(r"[\[{]", text)):
        if count >= MAX_STARTS:
            break
        try:
            value, end = _DECODER.raw_decode(text, start.start())
            read_as = model.model_validate(value)
        except (ValueError, RecursionError):
            continue
        if not value and not _stands_apart(text, start.start(), end, reply):
            continue  # brackets in a warning are no empty list
        if best is None or end - start.start() >= best[0]:
            best = (end - start.start(), read_as)
    return None if best is None else best[1]


def _stands_apart(text: str, start: int, end: int, reply: HttpReply) -> bool:
    if reply.headers.get("X-WP-Total") == "0":
        return True
    before, after = text[:start].rstrip(" \t\r"), text[end:].lstrip(" \t\r")
    return (not before or before[-1] in "\n>\ufeff") and (not after or after[0] in "\n<")


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).split()).casefold()


def _field(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None
