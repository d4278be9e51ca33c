"""Errors as providers report them, by status or inside a 200, and where they and their keys are."""

import json

import httpx
import pytest
from pydantic import SecretStr

from adapters.ai.chat_completions import ChatCompletionsGenerator
from adapters.ai.chat_endpoint import chat_url
from adapters.ai.chat_errors import reported_error
from adapters.net.http import HttpExchange
from domain.errors import AuthFailed, InvalidReply, JobError, ProviderUnavailable, QuotaExhausted
from domain.idea_providers import Usage

from .asking import ask, ideas
from .completions import completion, idea
from .idea_requests import idea_request
from .scripted_server import ScriptedServer, answer

OUTAGES: list[object] = [
    {"error": {"code": 429, "message": "upstream"}},
    {"error": {"code": "502"}},
    {"error": {"code": "rate_limit_exceeded", "message": "Limit per minute; see billing for more"}},
    {"error": {"type": "overloaded_error"}, "type": "error"},
    {"error": {"status": "RESOURCE_EXHAUSTED", "message": "You exceeded your current quota. Retry in 3 s"}},
    [{"error": {"code": 503}}],
    {"errors": [{"message": "Service Unavailable"}]},
    {"error": "Upstream request timed out"},
    {"error": "something"},
    {"object": "error", "code": 500, "message": "engine died"},
    {"status": 504, "message": "gateway"},
    {"choices": [{"error": {"code": 502}, "finish_reason": "error", "message": {"content": ""}}]},
]
MONEY: list[tuple[int, object]] = [
    (429, {"error": {"type": "insufficient_quota", "message": "You exceeded your current quota"}}),
    (402, {"error": {"message": "Insufficient Balance"}}),
    (402, "no JSON at all"),
    (400, {"error": {"message": "Your credit balance is too low"}}),
    (403, {"error": {"code": "billing_not_active"}}),
    (200, {"error": {"code": "billing_hard_limit_reached"}}),
    (200, {"error": {"code": 429, "message": "out of credits", "type": "insufficient_credits"}}),
    (200, {"error": {"code": 402}}),
]


@pytest.mark.parametrize("body", OUTAGES, ids=json.dumps)
def test_an_outage_inside_a_200_is_an_outage(
    server: ScriptedServer, exchange: HttpExchange, body: object
) -> None:
    """It is waited out, and reported as one when it stays."""
    down = answer(200, json.dumps(body).encode())
    server.script(down, down, ideas("One"))
    assert len(ask(exchange, server, count=1)) == 1

    server.script(down)
    with pytest.raises(ProviderUnavailable):
        ask(exchange, server)
    assert len(server.received) == 3 + 4


@pytest.mark.parametrize(("status", "body"), MONEY, ids=str)
def test_an_account_without_money_is_no_rate_limit(
    server: ScriptedServer, exchange: HttpExchange, status: int, body: object
) -> None:
    """No waiting helps, so nobody waits."""
    server.script(answer(status, json.dumps(body).encode()))
    with pytest.raises(QuotaExhausted) as caught:
        ask(exchange, server)

    assert len(server.received) == 1
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"error": {"code": 401}}, AuthFailed),
        ({"error": {"code": "invalid_api_key", "message": "Incorrect API key"}}, AuthFailed),
        ({"error": {"code": 404}}, InvalidReply),
        ({"error": {"code": "model_not_found"}}, InvalidReply),
    ],
)
def test_another_error_inside_a_200_is_that_error(
    server: ScriptedServer, exchange: HttpExchange, body: object, error: type[JobError]
) -> None:
    """At the first reply, for good."""
    server.script(answer(200, json.dumps(body).encode()))
    with pytest.raises(error):
        ask(exchange, server)

    assert len(server.received) == 1


@pytest.mark.parametrize("error", [None, {}, "", False])
def test_no_error_is_none(server: ScriptedServer, exchange: HttpExchange, error: object) -> None:
    """Some servers always have the field."""
    server.script(answer(200, json.dumps({**json.loads(completion([idea("One")])), "error": error}).encode()))

    assert len(ask(exchange, server, count=1)) == 1


def test_an_outage_inside_a_200_says_when_to_come_back(
    server: ScriptedServer, exchange: HttpExchange
) -> None:
    """By the header, or by the error itself."""
    server.script(answer(200, b'{"error": {"code": 429}}', Retry_After="60"))
    with pytest.raises(ProviderUnavailable) as caught:
        ask(exchange, server)
    assert caught.value.retry_after_s == 60

    server.script(answer(200, b'{"error": {"code": 429, "metadata": {"retry_after": 70}}}'))
    with pytest.raises(ProviderUnavailable) as caught:
        ask(exchange, server)
    assert caught.value.retry_after_s == 70


@pytest.mark.parametrize("status", [200, 400, 404, 500])
def test_what_a_failure_cost_is_kept(server: ScriptedServer, exchange: HttpExchange, status: int) -> None:
    """Tokens were spent, whatever came of them."""
    body = {"error": {"code": 404}, "usage": {"prompt_tokens": 7, "completion_tokens": 0}}
    server.script(answer(status, json.dumps(body).encode()))
    usages: list[Usage] = []
    with pytest.raises(JobError):
        ask(exchange, server, usages=usages)

    assert len(usages) == len(server.received)
    assert {usage.prompt_tokens for usage in usages} == {7}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"[" * 50_000, b'{"error": ' * 5_000])
def test_a_body_that_is_nothing_reports_nothing(body: bytes) -> None:
    """Only a status makes an error of it."""
    assert reported_error(body) is None
    found = reported_error(body, 500)
    assert found is not None
    assert found.status == 500


@pytest.mark.parametrize(
    ("base_url", "key_header", "sent"),
    [
        ("{}/openai/deployments/d?api-version=2024-10-21", None, "api-key"),
        ("{}/v1", None, "Authorization"),
        ("{}/v1", "api-key", "api-key"),
        ("{}/v1?api-version=1", "authorization", "Authorization"),
    ],
)
def test_an_address_keeps_its_query_and_gets_its_key_as_it_wants_it(
    server: ScriptedServer, exchange: HttpExchange, base_url: str, key_header: str | None, sent: str
) -> None:
    """Azure's way and everybody else's."""
    server.script(ideas("One"))
    generator = ChatCompletionsGenerator(
        exchange,
        base_url=base_url.format(server.url),
        api_key=SecretStr("k-1"),
        model="m",
        key_header=key_header,  # type: ignore[arg-type]  # one of the two
    )
    generator.generate(idea_request(count=1), timeout_s=None, on_usage=lambda usage: None)
    [received] = server.received

    assert {name for name in ("api-key", "Authorization") if name in received.headers} == {sent}
    assert received.headers[sent].endswith("k-1")
    path, _, query = base_url.format("").partition("?")
    assert received.path == f"{path}/chat/completions" + (f"?{query}" if query else "")


@pytest.mark.parametrize("name", ["key", "api_key", "sig", "token", "code", "Client-Secret"])
def test_a_credential_in_an_address_is_refused(name: str) -> None:
    """Addresses are printed and logged."""
    with pytest.raises(ValueError, match="credentials"):
        chat_url(f"https://x.example/v1?{name}=s")


def test_an_address_of_the_endpoint_itself_is_taken() -> None:
    """Whoever copies it whole means the same."""
    assert chat_url("https://x.example/v1/chat/completions") == httpx.URL(
        "https://x.example/v1/chat/completions"
    )
