"""How a provider of content ideas answers."""

import json
from uuid import uuid4

from .platform import Row
from .remote import Reply, Request


def wanted(request: Request) -> Row:
    """What a provider is asked for."""
    messages = request.json()["messages"]
    assert isinstance(messages, list)
    asked: Row = json.loads(messages[-1]["content"])
    return asked


def ideas(request: Request) -> Reply:
    """As many ideas as were asked for, no two alike."""
    asked = wanted(request)
    made = [
        {
            "title": f"Idea {uuid4()}",
            "description": "What it says.",
            "keywords": asked["keywords"],
            "outline": ["One"],
            "competitive_analysis": "None.",
            "word_count": 900,
        }
        for _ in range(asked["count"])
    ]
    message = {"content": json.dumps({"ideas": made})}
    return Reply(200, {"choices": [{"message": message, "finish_reason": "stop"}]})


def provider(name: str, url: str) -> Row:
    """An entry of PRESSROOM_AI_PROVIDERS."""
    return {"name": name, "base_url": url, "model": "any"}
