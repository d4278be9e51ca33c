"""Chat completions as servers send them."""

import json


def idea(title: str = "Bread at home", **changed: object) -> dict[str, object]:
    """One idea as a model writes it."""
    return {
        "title": title,
        "description": "How to bake bread.",
        "keywords": ["sourdough"],
        "outline": ["Flour", "Water"],
        "competitive_analysis": "Others leave out the salt.",
        "word_count": 1_000,
        **changed,
    }


def completion(
    ideas: list[dict[str, object]] | None = None,
    *,
    content: str | None = None,
    finish_reason: str = "stop",
    refusal: str | None = None,
    usage: dict[str, object] | None = None,
) -> bytes:
    """A whole reply; `content` stands for the ideas where the model says something else."""
    said = json.dumps({"ideas": ideas}) if ideas is not None else content
    reply = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish_reason,
                "message": {"role": "assistant", "content": said, "refusal": refusal},
            }
        ],
        **({} if usage is None else {"usage": usage}),
    }
    return json.dumps(reply).encode()
