"""JSON values in what a model said, whatever stands around them: fences, reasoning, words, a byte order mark."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass

#: Elements in which models reason before they answer.
_REASONING = "think|thinking|thought|thoughts|reasoning|reflection|analysis|scratchpad"
_OPENING = re.compile(rf"\s*<({_REASONING})\b[^>]*>", re.IGNORECASE)
_CLOSING = re.compile(rf"</(?:{_REASONING})\s*>", re.IGNORECASE)
_START = re.compile(r"[\[{]")
#: What no eye sees and no parser wants.
_INVISIBLE = "\ufeff\u200b\u2060 \t\r\n"
#: Lenient in one thing: models write line breaks into strings as they are.
_DECODER = json.JSONDecoder(strict=False)
#: What an attempt at a value that is nested too deeply is counted as, in characters.
_DEEP_CHARS = 10_000


@dataclass(frozen=True, kw_only=True)
class FoundJson:
    """The objects and lists in a text, outermost first, in their order."""

    values: list[object]
    #: Whether the text ends before a value of it does.
    is_cut: bool


def found_json(text: str) -> FoundJson:
    """The JSON in a text. Where a value is broken or cut off, the whole ones inside it are found.

    What stands in elements like `<think>` is left out, unless there is nothing else. The work is bounded by the
    text's length.

    Parameters:
        text: what the model said.

    Example:
        >>> found_json('<think>{"a": 0}</think> Sure! ```json [{"a": 1}, {"a": ```').values
        [{'a': 1}]
    """
    text = text.strip(_INVISIBLE)
    if text[:1] == '"':  # the whole of it as the text of another
        with suppress(ValueError):
            text = str(_DECODER.decode(text)).strip(_INVISIBLE)
    for answer in dict.fromkeys((_without_reasoning(text), text)):
        found = _scanned(answer)
        if found.values or found.is_cut:
            return found
    return FoundJson(values=[], is_cut=False)


def _without_reasoning(text: str) -> str:
    if text[:1] in ("{", "["):
        return text  # the elements in it are somebody's words
    while opening := _OPENING.match(text):
        closing = re.compile(rf"</{opening[1]}\s*>", re.IGNORECASE).search(text, opening.end())
        if closing is None:
            return ""
        text = text[closing.end() :]
    # Of nested ones the outer end is left, and some chat templates begin the reasoning themselves.
    *_, text = _CLOSING.split(text)
    return text


def _scanned(text: str) -> FoundJson:
    values: list[object] = []
    at, is_cut, work_chars = 0, False, 4 * len(text) + 100_000
    while work_chars > 0 and (start := _START.search(text, at)) is not None:
        begin = start.start()
        try:
            value, at = _DECODER.raw_decode(text, begin)
            values.append(value)
        except json.JSONDecodeError as error:
            is_at_end = error.msg.startswith("Unterminated") or error.pos >= len(text.rstrip())
            is_cut = is_cut or is_at_end
            work_chars -= (len(text) if is_at_end else error.pos + 1) - begin
            at = begin + 1
        except (ValueError, RecursionError):  # a number of thousands of digits, or nested too deeply
            work_chars -= _DEEP_CHARS
            at = begin + 1
    return FoundJson(values=values, is_cut=is_cut)
