"""Right answers in the shapes that models and gateways put them in, at random."""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from .completions import idea

Shape = tuple[list[str], bytes]

_TITLE = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=20
).filter(lambda title: title.strip("\ufeff\u200b\u2060") == title)
_PROSE = st.sampled_from(
    ["", "Here are the ideas:\n", "Sure! [see below] ", "I thought of {this}, then of that.\n", "\n\n", "{\n"]
)
_REASONING = st.sampled_from(
    [
        "",
        '<think>maybe {"ideas": []} or so</think>\n',
        '<think>first <think>inner</think> then {"ideas": [{"title": "no"}]}</think>',
        "the template began it {not this} </think>\n",
        "<Reasoning effort='high'>[1, 2]</Reasoning>",
        "<|channel|>analysis<|message|>so [..]<|end|><|channel|>final<|message|>",
    ]
)


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Titles, and a whole reply that holds ideas with these titles and no other."""
    titles = draw(st.lists(_TITLE, min_size=1, max_size=4, unique_by=str.casefold))
    ideas = [draw(_idea(title)) for title in titles]
    value = draw(_container(ideas))
    message = draw(_message(value, draw(_text(value))))
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": draw(st.sampled_from(["stop", None, "tool_calls"])),
    }
    body = json.dumps({"choices": [choice], "error": None}, ensure_ascii=draw(st.booleans()))
    return titles, (draw(st.sampled_from(["", "\ufeff", "\n \n"])) + body).encode()


@st.composite
def _idea(draw: st.DrawFn, title: str) -> dict[str, Any]:
    written = idea(title)
    written["word_count"] = draw(
        st.sampled_from([1_000, "1000", "1,000 words", 1000.0, "~1 000", None, "long", 0, True])
    )
    for name in draw(st.sets(st.sampled_from(["word_count", "keywords", "outline", "competitive_analysis"]))):
        del written[name]
    if draw(st.booleans()):
        written.update(rating=5, meta={"title": "not this", "ideas": []})
    if draw(st.booleans()):
        written = {name.title().replace("_", ""): value for name, value in written.items()}
    if "keywords" in written and draw(st.booleans()):
        written["keywords"] = "sourdough, rye"
    return written


@st.composite
def _container(draw: st.DrawFn, ideas: Sequence[dict[str, Any]]) -> object:
    spoilt = draw(st.lists(st.sampled_from([{"title": ""}, {"title": "no text"}, 7, None, "x"]), max_size=2))
    listed: list[object] = [*ideas, *spoilt]
    return draw(
        st.sampled_from(
            [
                listed,
                {"ideas": listed},
                {"Ideas": listed, "count": len(listed)},
                {"result": {"ideas": listed}},
                {
                    "ideas": {str(number): each for number, each in enumerate(ideas)}
                    if len(ideas) > 1
                    else ideas
                },
                {"ideas": json.dumps(listed)},
                json.dumps({"ideas": listed}) if spoilt else {"ideas": listed},
            ]
        )
    )


@st.composite
def _text(draw: st.DrawFn, value: object) -> str:
    written = value if isinstance(value, str) else json.dumps(value, indent=draw(st.sampled_from([None, 2])))
    opening, closing = draw(
        st.sampled_from([("", ""), ("```json\n", "\n```"), ("```\n", "\n```"), ("~~~", "~~~")])
    )
    mark = draw(st.sampled_from(["", "\ufeff", "\u200b"]))
    before, after = draw(_PROSE), draw(st.sampled_from(["", "\nTell me if you need more.", " [1]", "\ufeff"]))
    return f"{mark}{draw(_REASONING)}{before}{opening}{written}{closing}{after}"


@st.composite
def _message(draw: st.DrawFn, value: object, text: str) -> dict[str, Any]:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "{not this}"}]}
    call = {"type": "function", "function": {"name": "answer", "arguments": text}}
    shapes_of_it: list[dict[str, Any]] = [
        {"content": text},
        {"content": [thinking, {"type": "text", "text": text}]},
        {"content": [{"type": "text", "text": text[:7]}, {"type": "output_text", "text": text[7:]}]},
        {"content": None, "tool_calls": [call]},
        {"content": "I use a tool.", "tool_calls": [call]},
        {"content": "", "function_call": {"name": "answer", "arguments": text}},
        {"content": "", "reasoning_content": text},
    ]
    if not isinstance(value, str):
        shapes_of_it += [
            {"content": value if isinstance(value, dict) else {"ideas": value}},
            {"content": None, "tool_calls": [{"function": {"arguments": value}}]},
            {"content": [{"type": "tool_use", "input": value}]},
        ]
    return {"role": "assistant", **draw(st.sampled_from(shapes_of_it))}
