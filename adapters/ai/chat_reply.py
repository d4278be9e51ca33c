"""What a chat model must answer, and the reading of what it did answer."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from domain.errors import InvalidReply
from domain.ideas import IdeaDraft

#: How the schema is named towards the model.
SCHEMA_NAME = "content_ideas"


# Every field is required and none is bounded: providers' strict modes know no more of JSON Schema than that.
# The bounds are the domain's, and are checked when a draft is made. The docstrings go out with the schema.
class IdeaReply(BaseModel):
    """A content idea, as a model has to write it."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    title: str
    description: str
    keywords: list[str]
    outline: list[str]
    competitive_analysis: str
    word_count: int | None


class IdeasReply(BaseModel):
    """The content ideas asked for."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    ideas: list[IdeaReply]


class TokenUsage(BaseModel):
    """What the provider counted."""

    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)


def response_format() -> dict[str, object]:
    """The request field that makes the model answer in the shape of `IdeasReply`.

    Example:
        >>> response_format()["type"]
        'json_schema'
    """
    return {
        "type": "json_schema",
        "json_schema": {"name": SCHEMA_NAME, "strict": True, "schema": IdeasReply.model_json_schema()},
    }


def token_usage(body: bytes) -> TokenUsage | None:
    """What a reply cost; None when it does not say.

    Parameters:
        body: the whole reply, which may be anything.

    Example:
        >>> token_usage(b'{"usage": {"prompt_tokens": 9, "completion_tokens": 4}}').prompt_tokens
        9
    """
    try:
        return _Metered.model_validate_json(body).usage
    except ValidationError:
        return None


def drafts_in(body: bytes, count: int) -> list[IdeaDraft]:
    """The first `count` ideas of a reply.

    Parameters:
        body: the whole reply.
        count: how many were asked for; what is beyond them is cut off.

    Raises:
        InvalidReply: it does not parse, was cut short or refused, or an idea breaks the rules. The message says
            where, and quotes nothing.
    """
    try:
        choice = _Completion.model_validate_json(body).choices[0]
    except ValidationError as error:
        raise InvalidReply(f"the reply is no chat completion: {_where(error)}") from None
    if choice.finish_reason == "length":
        raise InvalidReply(
            "the reply was cut off at the model's length limit; ask for fewer ideas or raise it"
        )
    if choice.message.refusal or choice.finish_reason == "content_filter" or not choice.message.content:
        raise InvalidReply("the model refused, or said nothing; look at the keywords and the audience")
    try:
        ideas = IdeasReply.model_validate_json(choice.message.content).ideas[:count]
        drafts = [IdeaDraft.model_validate(idea.model_dump()) for idea in ideas]
    except ValidationError as error:
        raise InvalidReply(f"the ideas are not as asked for: {_where(error)}") from None
    if not drafts:
        raise InvalidReply("the model gave no ideas")
    return drafts


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)


class _Metered(BaseModel):
    usage: TokenUsage | None = None


def _where(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    # Names of unknown fields are the remote service's words; types and positions are ours.
    place = ".".join(str(part) for part in first["loc"]) if first["type"] != "extra_forbidden" else "a field"
    return f"{place or 'it'}: {first['type']}"
