"""What is away, told in the domain's words: whoever calls the API catches `JobError` and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from dramatiq.errors import BrokerConnectionError

from broker.errors import BrokerScriptError
from domain.errors import ProviderUnavailable
from middleware import StoreUnavailable


@contextmanager
def redis_answers() -> Iterator[None]:
    """A block that asks Redis.

    Raises:
        ProviderUnavailable: it does not answer, or refuses.

    Example:
        >>> with redis_answers():
        ...     breakers.states()
    """
    try:
        yield
    except (StoreUnavailable, redis.RedisError, BrokerConnectionError) as error:
        raise ProviderUnavailable(
            f"Redis does not answer ({type(error).__name__}), so nothing was done; is `python -m app up` running, "
            "or REDIS_URL right?"
        ) from error
    except BrokerScriptError as error:
        raise ProviderUnavailable(f"Redis refuses, so nothing was done; {error}") from error
