"""Asking a scripted provider for ideas, and what was asked of it."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from threading import Event
from typing import Any

from adapters.ai.chat_completions import ChatCompletionsGenerator
from adapters.net.http import HttpExchange
from domain.idea_providers import Drafts, Usage

from .completions import completion, idea
from .idea_requests import idea_request
from .scripted_server import Reply, ScriptedServer, answer


def chat_generator(exchange: HttpExchange, server: ScriptedServer) -> ChatCompletionsGenerator:
    """A provider called `first`."""
    return ChatCompletionsGenerator(exchange, base_url=server.url, api_key=None, model="m", name="first")


def ask(
    exchange: HttpExchange, server: ScriptedServer, *, count: int = 2, usages: list[Usage] | None = None
) -> Drafts:
    """What one call of a new generator brings."""
    kept = [] if usages is None else usages
    return chat_generator(exchange, server).generate(
        idea_request(count=count), timeout_s=None, on_usage=kept.append
    )


def asked(server: ScriptedServer) -> list[dict[str, Any]]:
    """The requests so far."""
    return [json.loads(received.body) for received in server.received]


def counts(server: ScriptedServer) -> list[int]:
    """How many ideas each request was for."""
    return [json.loads(each["messages"][-1]["content"])["count"] for each in asked(server)]


def form(request: dict[str, Any]) -> str:
    """The form a request asks in."""
    return str(request.get("response_format", {}).get("type", "words"))


def answering(server: ScriptedServer, reply: Callable[[dict[str, Any]], tuple[int, bytes]]) -> None:
    """Have the server answer each request by what it says."""

    def write(handler: BaseHTTPRequestHandler, released: Event) -> None:
        status, body = reply(asked(server)[-1])
        answer(status, body)(handler, released)

    server.script(write)


def ideas(*titles: str) -> Reply:
    """A good reply with these titles."""
    return answer(200, completion([idea(title) for title in titles]))
