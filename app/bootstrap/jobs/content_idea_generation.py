"""Wires `content_idea_generation`."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import httpx
from sqlalchemy import Engine

from adapters.ai.chat_completions import ChatCompletionsGenerator
from adapters.ai.template_generator import TemplateIdeaGenerator
from adapters.database.ideas import SqlIdeas
from adapters.database.transactions import SqlTransactions
from adapters.ids import uuid7
from adapters.net.http import HttpExchange
from app.bootstrap.breakers import BehindBreaker
from app.settings import AiProvider, Settings
from domain.content_idea_generation import WRITE_TIMEOUT_S, ContentIdeaGeneration, GenerateIdeas, IdeaBatch
from domain.idea_providers import IdeaGenerator
from domain.token_budget import WithinBudget
from middleware import CircuitBreakers

from .run import GuardedRun


def content_idea_generation(
    settings: Settings, engine: Engine, http: httpx.Client, breakers: CircuitBreakers
) -> Callable[[ContentIdeaGeneration], IdeaBatch]:
    """The handler, with the providers that the settings name in their order."""
    providers = [
        BehindBreaker(_chat_completions(provider, http), breakers) for provider in settings.ai_providers
    ]
    free: list[IdeaGenerator] = []
    if settings.ai_template_fallback:
        free.append(TemplateIdeaGenerator(secrets.SystemRandom()))
    budget_tokens = settings.ai_tokens_per_org_and_day
    repository = partial(SqlIdeas, limits=settings.limits)

    def handle(job: ContentIdeaGeneration) -> IdeaBatch:
        run = GuardedRun()
        transactions = SqlTransactions(engine, repository, run.remaining_s)

        def spent_tokens() -> int:
            return transactions(
                job.org_id, lambda ideas: ideas.tokens_spent_today(), timeout_s=WRITE_TIMEOUT_S
            )

        paid: list[IdeaGenerator] = [
            WithinBudget(generator=provider, budget_tokens=budget_tokens, spent_tokens=spent_tokens)
            if budget_tokens
            else provider
            for provider in providers
        ]
        generators = [*paid, *free]
        generate = GenerateIdeas(run=run, transactions=transactions, generators=generators, new_id=uuid7)
        return generate(job)

    return handle


def _chat_completions(provider: AiProvider, http: httpx.Client) -> ChatCompletionsGenerator:
    exchange = HttpExchange(http, now=lambda: datetime.now(UTC), attempt_timeout_s=provider.timeout_s)
    return ChatCompletionsGenerator(
        exchange,
        base_url=provider.base_url,
        api_key=provider.api_key,
        model=provider.model,
        name=provider.name,
        key_header=provider.key_header,
        timeout_s=provider.timeout_s,
    )
