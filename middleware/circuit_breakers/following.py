"""Generators and coroutines whose end is known to whoever let them begin."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextlib import aclosing
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TypeVar

Y = TypeVar("Y")
S = TypeVar("S")
R = TypeVar("R")

#: Is called once, with the error or with None.
End = Callable[[BaseException | None], None]


#: What functions return that only begin to run then.
DEFERRED = (GeneratorType, CoroutineType, AsyncGeneratorType)
Deferred = (
    Generator[object, object, object] | Coroutine[object, object, object] | AsyncGenerator[object, None]
)


def follow(deferred: Deferred, end: End) -> object:
    """Wrap a generator, a coroutine or an async generator, so that its end is reported.

    Example:
        >>> return follow(generate(), lambda error: print("ended", error))
    """
    if isinstance(deferred, Generator):
        return _generate(deferred, end)
    if isinstance(deferred, Coroutine):
        return wait_for(deferred, end)
    return _iterate(deferred, end)


async def wait_for(awaitable: Awaitable[R], end: End) -> R:
    """Await something and report how it ended.

    Example:
        >>> answer = await wait_for(ask("Why?"), lambda error: print("ended", error))
    """
    try:
        result = await awaitable
    except BaseException as error:
        end(error)
        raise
    end(None)
    return result


def _generate(generator: Generator[Y, S, R], end: End) -> Generator[Y, S, R]:
    try:
        result = yield from generator
    except BaseException as error:
        end(error)
        raise
    end(None)
    return result


async def _iterate(generator: AsyncGenerator[Y, None], end: End) -> AsyncGenerator[Y, None]:
    try:
        # Whoever stops early closes this one, and this one the other.
        async with aclosing(generator):
            async for item in generator:
                yield item
    except BaseException as error:
        end(error)
        raise
    end(None)
