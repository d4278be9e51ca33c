"""Generators and coroutines whose end is known to whoever let them begin."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TypeVar

Y = TypeVar("Y")
S = TypeVar("S")
R = TypeVar("R")

#: Is called once, with the error or with None.
End = Callable[[BaseException | None], None]


def follow(result: object, end: End) -> object:
    """Wrap what a function returned, if it only begins to run now; otherwise that has ended well.

    Example:
        >>> return follow(func(), lambda error: print("ended", error))
    """
    if isinstance(result, GeneratorType):
        return _generate(result, end)
    if isinstance(result, CoroutineType):
        return wait_for(result, end)
    if isinstance(result, AsyncGeneratorType):
        return _iterate(result, end)
    end(None)
    return result


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
