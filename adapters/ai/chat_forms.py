"""The forms in which a provider can be asked for ideas, from the strictest to the one that every model takes."""

import enum
import json
import re

from pydantic import BaseModel, ConfigDict, Field

from domain.idea_providers import IDEAS_PER_CALL, IdeaRequest
from domain.ideas import (
    MAX_ARTICLE_WORDS,
    MAX_DRAFT_HEADINGS,
    MAX_DRAFT_KEYWORDS,
    MAX_TEXT_CHARS,
    MAX_TITLE_CHARS,
)

from .chat_prompt import prompt

#: How the schema is named towards the model.
SCHEMA_NAME = "content_ideas"

_BOUNDS = ("minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum")
_NAMES_A_BOUND = re.compile("|".join(_BOUNDS), re.IGNORECASE)


# Every field is required: strict modes want it so. The docstrings go out with the schema.
class IdeaReply(BaseModel):
    """A content idea, as a model has to write it."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1, max_length=MAX_TITLE_CHARS)
    description: str = Field(min_length=1, max_length=MAX_TEXT_CHARS)
    keywords: list[str] = Field(max_length=MAX_DRAFT_KEYWORDS)
    outline: list[str] = Field(max_length=MAX_DRAFT_HEADINGS)
    competitive_analysis: str = Field(max_length=MAX_TEXT_CHARS)
    word_count: int | None = Field(ge=1, le=MAX_ARTICLE_WORDS)


class IdeasReply(BaseModel):
    """The content ideas asked for."""

    model_config = ConfigDict(extra="forbid")

    ideas: list[IdeaReply] = Field(min_length=1, max_length=IDEAS_PER_CALL)


#: Made once: it takes milliseconds.
_SCHEMA = IdeasReply.model_json_schema()


class ChatForm(enum.Enum):
    """How the shape of the answer is asked for."""

    BOUNDED_SCHEMA = "json_schema with bounds"
    #: For strict modes that know no bounds.
    SCHEMA = "json_schema"
    JSON_OBJECT = "json_object"
    PROMPT = "words"


def request_in(form: ChatForm, request: IdeaRequest, *, insists: bool = False) -> dict[str, object]:
    """The request's fields but for the model's name.

    Parameters:
        form: how the shape is asked for; where it takes no schema, the schema stands in the instructions.
        request: what the ideas are for.
        insists: whether an answer could not be read before. Default False.

    Example:
        >>> request_in(ChatForm.JSON_OBJECT, request)["response_format"]
        {'type': 'json_object'}
    """
    added = []
    if form in (ChatForm.JSON_OBJECT, ChatForm.PROMPT):
        schema = json.dumps(_SCHEMA, separators=(",", ":"))
        added.append(
            f"Answer with one JSON object and nothing else. It has to be valid under this schema: {schema}"
        )
    if insists:
        added.append("An earlier answer could not be read. Write the JSON object alone, complete and valid.")
    fields: dict[str, object] = {"messages": prompt(request, added)}
    response_format = _response_format(form)
    return fields if response_format is None else {**fields, "response_format": response_format}


def next_form(form: ChatForm, reason: str) -> ChatForm | None:
    """The form to ask in after a provider refused one; None after the last.

    Parameters:
        form: the one that was refused.
        reason: what the provider said.

    Example:
        >>> next_form(ChatForm.BOUNDED_SCHEMA, "'maxLength' is not permitted").value
        'json_schema'
    """
    if form is ChatForm.BOUNDED_SCHEMA:
        return ChatForm.SCHEMA if _NAMES_A_BOUND.search(reason) else ChatForm.JSON_OBJECT
    return {ChatForm.SCHEMA: ChatForm.JSON_OBJECT, ChatForm.JSON_OBJECT: ChatForm.PROMPT}.get(form)


def _response_format(form: ChatForm) -> dict[str, object] | None:
    if form is ChatForm.PROMPT:
        return None
    if form is ChatForm.JSON_OBJECT:
        return {"type": "json_object"}
    schema: object = _SCHEMA
    if form is ChatForm.SCHEMA:
        schema = _unbounded(schema)
    return {"type": "json_schema", "json_schema": {"name": SCHEMA_NAME, "strict": True, "schema": schema}}


def _unbounded(schema: object) -> object:
    if isinstance(schema, dict):
        return {name: _unbounded(value) for name, value in schema.items() if name not in _BOUNDS}
    return [_unbounded(each) for each in schema] if isinstance(schema, list) else schema
