"""Failover as it is wired: a chat model that is down, and the templates behind it."""

import random
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from adapters.ai.chat_completions import ChatCompletionsGenerator
from adapters.ai.template_generator import TemplateIdeaGenerator
from adapters.net.http import HttpExchange
from domain.errors import AuthFailed, InvalidReply, JobError, ProviderUnavailable
from domain.idea_providers import IdeaGenerator, Usage, gather_drafts

from .completions import completion, idea
from .idea_requests import idea_request
from .scripted_server import Reply, ScriptedServer, answer, hang_up, hold, refused_url


class TimedRun:
    """A run with so much time left, whenever it is asked."""

    def __init__(self, remaining_s: float = 120.0) -> None:
        self._remaining_s = remaining_s

    @property
    def job_id(self) -> UUID:
        return uuid4()

    def remaining_s(self) -> float:
        return self._remaining_s

    def progress(self, percent: int, note: str) -> None:
        """Nobody watches."""

    def checkpoint(self) -> None:
        """Nobody stops it."""


def chat(exchange: HttpExchange, url: str) -> ChatCompletionsGenerator:
    return ChatCompletionsGenerator(exchange, base_url=url, api_key=SecretStr("sk-1"), model="small-1")


def with_templates(first: IdeaGenerator) -> list[IdeaGenerator]:
    return [first, TemplateIdeaGenerator(random.Random(1))]


@pytest.mark.parametrize(
    ("reply", "remaining_s"),
    [
        (answer(500), 120.0),
        (answer(401), 120.0),
        (answer(200, b"<html>"), 120.0),
        (hang_up(), 120.0),
        (hold(), 0.2),
    ],
    ids=["500", "401", "garbage", "hang-up", "time-out"],
)
def test_the_templates_serve_when_the_model_does_not(
    server: ScriptedServer, exchange: HttpExchange, reply: Reply, remaining_s: float
) -> None:
    """Whatever is wrong with the first provider, the job gets all its ideas from the next."""
    server.script(reply)
    generators = with_templates(chat(exchange, server.url))
    drafts = gather_drafts(generators, idea_request(count=60), TimedRun(remaining_s), on_usage=_ignore)
    assert len(drafts) == 60
    assert server.received


def test_the_templates_serve_when_nothing_listens(exchange: HttpExchange) -> None:
    """A refused connection is covered like every other outage."""
    with refused_url() as url:
        generators = with_templates(chat(exchange, url))
        assert len(gather_drafts(generators, idea_request(), TimedRun(), on_usage=_ignore)) == 2


def test_a_model_that_fails_half_way_keeps_its_ideas(server: ScriptedServer, exchange: HttpExchange) -> None:
    """What the model gave before it went down is kept, and the templates add the rest."""
    server.script(answer(200, completion([idea(str(number)) for number in range(50)])), answer(503))
    generators = with_templates(chat(exchange, server.url))
    drafts = gather_drafts(generators, idea_request(count=60), TimedRun(), on_usage=_ignore)
    assert [draft.title for draft in drafts[:50]] == [str(number) for number in range(50)]
    assert len(drafts) == 60


@pytest.mark.parametrize(
    ("reply", "error"),
    [(answer(500), ProviderUnavailable), (answer(401), AuthFailed), (answer(200, b"<html>"), InvalidReply)],
)
def test_without_templates_the_failure_is_reported(
    server: ScriptedServer, exchange: HttpExchange, reply: Reply, error: type[JobError]
) -> None:
    """A lone provider's failure becomes the job's."""
    server.script(reply)
    with pytest.raises(error):
        gather_drafts([chat(exchange, server.url)], idea_request(), TimedRun(), on_usage=_ignore)


def _ignore(usage: Usage) -> None:
    """For tests about something else."""
