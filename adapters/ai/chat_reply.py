"""The reading of what a chat model answered: the envelope of a completion, and the ideas wherever they lie in it."""

import json
from collections.abc import Iterator

from pydantic import AliasChoices, BaseModel, Field, ValidationError

from domain.errors import InvalidReply

from .found_json import FoundJson, found_json
from .read_drafts import ReadDrafts, read_drafts

#: How providers say that a reply ended at a length limit.
_CUT_OFF = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "token_limit"})
#: Parts of a content list that are no answer.
_NO_ANSWER = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoning_content", "summary"})


class TokenUsage(BaseModel):
    """What the provider counted."""

    prompt_tokens: int = Field(
        default=0, ge=0, validation_alias=AliasChoices("prompt_tokens", "input_tokens", "promptTokens")
    )
    completion_tokens: int = Field(
        default=0,
        ge=0,
        validation_alias=AliasChoices("completion_tokens", "output_tokens", "completionTokens"),
    )


class IdeasRead(ReadDrafts):
    """What there was of ideas in a reply."""

    #: Whether the reply ended before it was complete.
    is_cut: bool = False


def token_usage(body: bytes) -> TokenUsage | None:
    """What a reply cost; None when it does not say.

    Parameters:
        body: the whole reply, which may be anything.

    Example:
        >>> token_usage(b'{"usage": {"prompt_tokens": 9, "completion_tokens": 4}}').prompt_tokens
        9
    """
    try:
        return _Metered.model_validate(_parsed(body)).usage
    except (ValidationError, InvalidReply):
        return None


def ideas_in(body: bytes) -> IdeasRead:
    """The ideas of a reply.

    Parameters:
        body: the whole reply.

    Raises:
        InvalidReply: it is no completion, was refused, or holds no idea that can be used, although it was not cut
            off. The message quotes nothing.
    """
    choice = _choice(_parsed(body))
    finish = str(choice.get("finish_reason") or "").casefold()
    message = _message(choice)
    if message.get("refusal") or finish == "content_filter":
        raise InvalidReply("the model refused; look at the keywords and the audience")
    read = IdeasRead()
    said_anything = False
    for found in _answers(message):
        said_anything = True
        drafts = read_drafts(found.values)
        if drafts.drafts or not read.dropped:
            read.drafts, read.mended, read.dropped = drafts.drafts, drafts.mended, drafts.dropped
        read.is_cut = found.is_cut
        if read.drafts:
            break
    read.is_cut = read.is_cut or finish in _CUT_OFF
    if not said_anything and not read.is_cut:
        raise InvalidReply("the model said nothing; look at the keywords and the audience")
    if not read.drafts and not read.is_cut:
        raise InvalidReply(
            f"the ideas are not as asked for: {'; '.join(read.dropped[:3]) or 'there are none'}"
        )
    return read


def _parsed(body: bytes) -> object:
    try:
        # Bytes that are no UTF-8 spoil one text, not the reply.
        return json.loads(body.decode("utf-8-sig", "replace"), strict=False)
    except (ValueError, RecursionError):
        raise InvalidReply("the reply is no chat completion: it is no JSON") from None


def _choice(reply: object) -> dict[str, object]:
    """The first choice that says anything, or the first."""
    choices = reply.get("choices") if isinstance(reply, dict) else None
    found = [each for each in choices if isinstance(each, dict)] if isinstance(choices, list) else []
    if not found:
        raise InvalidReply("the reply is no chat completion: it has no choices")
    return next((each for each in found if next(_answers(_message(each)), None) is not None), found[0])


def _message(choice: dict[str, object]) -> dict[str, object]:
    message = choice.get("message")
    return message if isinstance(message, dict) else {"content": choice.get("text")}


def _answers(message: dict[str, object]) -> Iterator[FoundJson]:
    """What is found in the content, then in calls of tools, then where some servers put the answer by mistake."""
    content = message.get("content")
    parts = content if isinstance(content, list) else [content]
    yield from _found("".join(_texts(parts)))
    values: list[object] = [each for each in parts if isinstance(each, dict) and "type" not in each]
    values += [
        part[name] for part in parts if isinstance(part, dict) for name in ("json", "input") if name in part
    ]
    calls = message.get("tool_calls")
    for call in [*(calls if isinstance(calls, list) else ()), {"function": message.get("function_call")}]:
        function = call.get("function") if isinstance(call, dict) else None
        arguments = function.get("arguments") if isinstance(function, dict) else None
        if isinstance(arguments, str):
            yield from _found(arguments)
        elif arguments is not None:
            values.append(arguments)
    values.append(message.get("parsed"))
    for value in values:
        if value is not None:
            yield FoundJson(values=[value], is_cut=False)
    for name in ("reasoning_content", "reasoning"):
        text = message.get(name)
        if isinstance(text, str):
            yield from _found(text)


def _found(text: str) -> Iterator[FoundJson]:
    if text.strip():
        yield found_json(text)


def _texts(parts: list[object]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict) and part.get("type") not in _NO_ANSWER:
            text = part.get("text")
            text = text.get("value") if isinstance(text, dict) else text
            if isinstance(text, str):
                yield text


class _Metered(BaseModel):
    usage: TokenUsage | None = None
