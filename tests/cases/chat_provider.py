"""An AI provider that answers as a case wants, and what the generator of ideas makes of it."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from adapters.ai.chat_completions import ChatCompletionsGenerator
from adapters.net.http import HttpExchange
from domain.idea_providers import IdeaRequest
from tests.cases.http_servers import Reply, Request, http_server

#: What a provider answers: status and JSON, from the request and its number, counted from 1.
Answer = Callable[[dict[str, Any], int], tuple[int, object]]


def idea(title: str = "Bread at home") -> dict[str, object]:
    """An idea that keeps every rule."""
    return {
        "title": title,
        "description": "How to bake.",
        "keywords": ["bread"],
        "outline": ["Flour", "Water"],
        "competitive_analysis": "Others are thin.",
        "word_count": 900,
    }


#: One idea, as a provider should write it.
GOOD = json.dumps({"ideas": [idea()]})


def completion(content: object, finish: str = "stop") -> dict[str, object]:
    """A completion with this content."""
    return {
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content}}
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4},
    }


def ask(reply: Answer, count: int = 1) -> tuple[Sequence[object] | Exception, list[dict[str, Any]]]:
    """The ideas that come of asking such a provider, or the error; and what it was asked.

    Parameters:
        reply: how it answers.
        count: how many ideas are wanted. Default 1.
    """
    asked: list[dict[str, Any]] = []

    def answer(request: Request) -> Reply:
        asked.append(json.loads(request.body))
        status, body = reply(asked[-1], len(asked))
        return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json"})

    wanted = IdeaRequest(
        keywords=("bread",),
        averages=(),
        content_type="article",
        target_audience="all",
        tone="casual",
        count=count,
    )
    with http_server(answer) as address, httpx.Client() as client:
        generator = ChatCompletionsGenerator(
            HttpExchange(client, now=lambda: datetime.now(UTC), first_wait_s=0.05),
            base_url=f"{address}/v1",
            api_key=None,
            model="m",
        )
        try:
            return generator.generate(wanted, timeout_s=20, on_usage=lambda usage: None), asked
        except Exception as error:  # noqa: BLE001  # it is the answer
            return error, asked


def in_words(found: Sequence[object] | Exception) -> str:
    """How it went."""
    return f"{type(found).__name__}: {found}" if isinstance(found, Exception) else f"{len(found)} ideas"
