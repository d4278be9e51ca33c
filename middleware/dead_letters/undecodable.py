"""Keeps bytes that are no message, which reach no hook of Dramatiq's.

Dramatiq's consumers decode what they fetch. On Redis an error there ends the consumer, prints the bytes into a
log, and leaves them, *and every good message fetched along with them*, to nobody until the worker is gone. On the
stub broker `join` never returns. RabbitMQ's consumer rejects such a message itself, to `<queue>.XQ`.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from dramatiq import Broker, Message
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.stub import StubBroker
from dramatiq.errors import BrokerConnectionError, DecodeError

from ..base.delegation import SupportsAckOperations, is_dramatiq_redis

#: How long to wait before bytes are kept that could not be, in seconds.
RETRY_S = 1.0

#: Takes a queue, the bytes, and a mark that tells equal bytes apart; raises `BrokerConnectionError` to be asked again.
Keep = Callable[[str, bytes, str], None]

_Consume = Callable[..., Consumer]


def keep_undecodable(broker: Broker, keep: Keep, *, wait: Callable[[float], None] = time.sleep) -> None:
    """Hand what the broker's consumers cannot decode to `keep`, and reject it once that returned.

    Parameters:
      broker: A Redis or stub broker; what others raise is kept, and passes on. One that keeps leases calls
        `DeadLetters.keep_undecodable` itself, and is left alone.
      keep: See `Keep`.
      wait: Waits some seconds between two tries; for tests. Default `time.sleep`.
    """
    if not isinstance(broker.consume, _Keeping) and not isinstance(broker, SupportsAckOperations):
        # There is no hook, and an instance's attribute leaves the class and other brokers alone.
        setattr(broker, "consume", _Keeping(broker, broker.consume, keep, wait))  # noqa: B010  # mypy


@dataclass(eq=False, repr=False)
class _Keeping:
    """A broker's `consume`, whose consumers survive what they cannot decode."""

    _broker: Broker
    _consume: _Consume
    _keep: Keep
    _wait: Callable[[float], None]

    def __call__(self, queue_name: str, prefetch: int = 1, timeout: int = 30_000) -> Consumer:
        consumer = self._consume(queue_name, prefetch=prefetch, timeout=timeout)
        reject = _reject_on(self._broker)
        return _KeepingConsumer(consumer, queue_name, self._keep, reject, self._wait)


#: Finds the consumer's claim on the bytes: a mark for them, and what rejects them.
_Reject = Callable[[Any, str, bytes], tuple[str, Callable[[], None]] | None]


@dataclass(eq=False, repr=False)
class _KeepingConsumer(Consumer):
    _consumer: Consumer
    _queue: str
    _keep: Keep
    _reject: _Reject | None
    _wait: Callable[[float], None]
    _pending: bytes | None = None

    def __next__(self) -> MessageProxy | None:
        if self._pending is None:
            try:
                return next(self._consumer)
            except DecodeError as error:
                if self._reject is None:
                    self._keep(self._queue, error.data, "")
                    raise
                self._pending = error.data
        try:
            self._settle(self._reject, self._pending)
        except (BrokerConnectionError, OSError):
            self._wait(RETRY_S)
        else:
            self._pending = None
        return None

    def _settle(self, reject: _Reject | None, raw: bytes) -> None:
        claim = reject(self._consumer, self._queue, raw) if reject else None
        if claim is not None:
            mark, finish = claim
            self._keep(self._queue, raw, mark)
            finish()

    def ack(self, message: MessageProxy) -> None:
        self._consumer.ack(message)

    def nack(self, message: MessageProxy) -> None:
        self._consumer.nack(message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        self._consumer.requeue(messages)

    def close(self) -> None:
        self._consumer.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)


def _reject_on(broker: Broker) -> _Reject | None:
    if isinstance(broker, StubBroker):
        return _reject_on_stub
    return _reject_on_redis if is_dramatiq_redis(broker) else None


def _reject_on_stub(consumer: Any, queue: str, raw: bytes) -> tuple[str, Callable[[], None]]:
    stand_in: Message[Any] = Message(
        queue_name=queue, actor_name="undecodable", args=(), kwargs={}, options={}
    )
    return stand_in.message_id, lambda: consumer.nack(MessageProxy(stand_in))


def _reject_on_redis(consumer: Any, queue: str, raw: bytes) -> tuple[str, Callable[[], None]] | None:
    """The message's id stands in the bytes, which say nothing: it is looked up among what this worker holds."""
    from redis import RedisError

    broker = consumer.broker
    try:
        held = list(broker.client.smembers(f"{broker.namespace}:__acks__.{broker.broker_id}.{queue}"))
        found = broker.client.hmget(f"{broker.namespace}:{queue}.msgs", held) if held else []
    except RedisError as error:
        raise _away(error) from None
    redis_id = next((each for each, data in zip(held, found, strict=True) if data == raw), None)
    if redis_id is None:
        # Somebody else has it by now: this worker was silent for so long that it was taken for dead.
        return None
    return redis_id.decode(), lambda: _nack_on_redis(broker, queue, redis_id)


def _nack_on_redis(broker: Any, queue: str, redis_id: bytes) -> None:
    from redis import RedisError

    try:
        broker.do_nack(queue, redis_id)
    except RedisError as error:
        raise _away(error) from None


def _away(error: Exception) -> BrokerConnectionError:
    return BrokerConnectionError(type(error).__name__)  # type: ignore[no-untyped-call]
