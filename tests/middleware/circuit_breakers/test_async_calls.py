"""Calls of coroutines and streams through a breaker."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

import pytest

from middleware.circuit_breakers.guard import CircuitBreakers
from middleware.circuit_breakers.memory import MemoryCircuitBreakerStore
from tests.middleware.circuit_breakers.breaker_helpers import Clock, ask, fail, make


@pytest.fixture
def breakers() -> CircuitBreakers:
    """Breakers that two failures open."""
    clock = Clock()
    return make(MemoryCircuitBreakerStore(now_ms=clock.now_ms), clock)


def test_a_block_in_a_coroutine_is_guarded(breakers: CircuitBreakers) -> None:
    """Two coroutines of one thread are inside at once, and each counts how it ends."""

    async def calls() -> None:
        met = asyncio.Barrier(2)

        async def call() -> None:
            with breakers.calling("ai"):
                await met.wait()
                raise ConnectionError

        results = await asyncio.gather(call(), call(), return_exceptions=True)
        assert [type(result) for result in results] == [ConnectionError] * 2

    asyncio.run(calls())

    assert breakers.state("ai").state == "open"


def test_a_cancelled_coroutine_counts_as_nothing(breakers: CircuitBreakers) -> None:
    """Whoever stops waiting says nothing about what was called."""

    async def calls() -> None:
        begun = asyncio.Event()

        @breakers["ai"]
        async def wait() -> None:
            begun.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(wait())
        await begun.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    fail(breakers, 1)
    asyncio.run(calls())

    assert breakers.state("ai").failures == 1


def test_a_coroutine_that_call_returns_counts_when_it_ends(breakers: CircuitBreakers) -> None:
    """`call` may be given an `async def` function too."""

    async def calls() -> str:
        with suppress(ConnectionError):
            await breakers["ai"].call(ask, "")
        assert breakers.state("ai").failures == 1
        return await breakers["ai"].call(ask, "tea")

    assert asyncio.run(calls()) == "tea"
    assert breakers.state("ai").failures == 0


def test_an_async_generator_counts_when_it_ends(breakers: CircuitBreakers) -> None:
    """A stream that breaks is a failure; one that its reader leaves is closed, and none."""
    closed: list[str] = []

    @breakers["ai"]
    async def stream(*, fails: bool) -> AsyncGenerator[str, None]:
        try:
            yield "one"
            if fails:
                raise ConnectionError
            yield "two"
        finally:
            closed.append("closed")

    async def reads() -> None:
        with suppress(ConnectionError):
            async for _ in stream(fails=True):
                assert breakers.state("ai").failures == 0
        assert breakers.state("ai").failures == 1
        async with aclosing(stream(fails=False)) as left:
            await anext(left)
        assert (breakers.state("ai").failures, closed) == (1, ["closed", "closed"])
        assert [item async for item in stream(fails=False)] == ["one", "two"]

    asyncio.run(reads())

    assert breakers.state("ai").failures == 0
