"""The base of the guards that watch: they decide nothing, and whatever goes wrong in them stays in them."""

from collections.abc import Callable
from typing import Any

from dramatiq import Broker
from dramatiq.broker import MessageProxy

from .attempts import Attempt as Attempt
from .attempts import delivery_of
from .guard import Guard
from .guard import Option as Option
from .guard import Position as Position


class Observer(Guard):
    """A guard that sees every attempt and stops none.

    The end of an attempt is reported when its message is acked or rejected: only then is it known whether a failed
    one is tried again, wherever in the stack the guard stands.

    Example:
      >>> class Applause(Observer):
      ...     def ended(self, broker, message, attempt):
      ...         if attempt.outcome == "succeeded":
      ...             clap()
    """

    def __init__(self) -> None:
        super().__init__(on_error="allow")

    def began(self, broker: Broker, message: MessageProxy, attempt: Attempt) -> None:
        """Called when an attempt begins, in the thread that makes it."""

    def processed(self, broker: Broker, message: MessageProxy, attempt: Attempt) -> None:
        """Called when the function is done, or never ran; what becomes of the message is not known yet."""

    def ended(self, broker: Broker, message: MessageProxy, attempt: Attempt) -> None:
        """Called when the attempt is over and has its outcome; once, also when the broker repeats a lost ack."""

    def left(self, broker: Broker, message: MessageProxy, attempt: Attempt) -> None:
        """Called when the broker has let go of the message."""

    def rejected(self, broker: Broker, message: MessageProxy) -> None:
        """Called when a message is rejected that never came to an attempt, as no actor has its name for example."""

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        self._watch("begin", self.began, broker, message, delivery_of(message).begin(message))

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        attempt = delivery_of(message).begin(message)
        # What came as failed has no function that could raise it.
        attempt.finish(message._exception if exception is None and message.failed else exception)
        self._watch("process", self.processed, broker, message, attempt)
        super().after_process_message(broker, message, result=result, exception=exception)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        attempt = delivery_of(message).begin(message)
        attempt.finish(skipped=True)
        self._watch("process", self.processed, broker, message, attempt)

    def before_ack(self, broker: Broker, message: MessageProxy) -> None:
        delivery = delivery_of(message)
        attempt = delivery.attempt
        # Delayed messages are acked too, when they are moved to their queue.
        if attempt is not None and delivery.is_first_report("ended", self):
            attempt.conclude(message)
            self._watch("end", self.ended, broker, message, attempt)

    def before_nack(self, broker: Broker, message: MessageProxy) -> None:
        delivery = delivery_of(message)
        if delivery.attempt is not None:
            self.before_ack(broker, message)
        elif delivery.is_first_report("rejected", self):
            self._watch("reject", self.rejected, broker, message)

    def after_ack(self, broker: Broker, message: MessageProxy) -> None:
        attempt = delivery_of(message).attempt
        if attempt is not None:
            self._watch("leave", self.left, broker, message, attempt)

    def after_nack(self, broker: Broker, message: MessageProxy) -> None:
        self.after_ack(broker, message)

    def _watch(self, what: str, hook: Callable[..., None], *args: object) -> None:
        try:
            hook(*args)
        except Exception as error:  # noqa: BLE001  # watching may never cost a job
            self._count(what, error)
