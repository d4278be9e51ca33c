"""Callbacks that fire once: `on_failure` on the final failure, not on each attempt."""

from typing import Any

import dramatiq.middleware
from dramatiq import Broker
from dramatiq.broker import MessageProxy

from .base.classification import category_of, class_name, fingerprint
from .base.stack import Position


class Callbacks(dramatiq.middleware.Callbacks):
    """Chains success and failure callbacks onto actors, as Dramatiq's own does, with two differences.

    - `on_failure` fires when a message has failed for good. Dramatiq's own fires after each failed attempt, and
      after each park, of a job that may well succeed in the end.
    - The callback learns the error's class, category and fingerprint. Dramatiq's own sends its text, which may
      quote secrets.

    It stands before `Retries` in the stack, so that its after-hook runs later and knows.

    Example:
      >>> resize.send_with_options(args=(job,), on_failure=tell_somebody)
    """

    position = Position.FOLLOW

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        if exception is None and message.failed:
            # Given up before it could begin: what its broker says of it is all there is.
            exception = message._exception
        if exception is None and not message.failed:
            super().after_process_message(broker, message, result=result)  # type: ignore[no-untyped-call]
        elif exception is not None and message.failed:
            _tell_failure(broker, message, exception)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        # A message that was too old to begin was skipped and has failed.
        if message.failed and message._exception is not None:
            _tell_failure(broker, message, message._exception)


def _tell_failure(broker: Broker, message: MessageProxy, exception: BaseException) -> None:
    actor = broker.actors.get(message.actor_name)
    target = message.options.get("on_failure") or (actor.options.get("on_failure") if actor else None)
    if target:
        reported = {
            "type": class_name(exception),
            "category": category_of(exception),
            "fingerprint": fingerprint(exception),
        }
        broker.get_actor(target).send(message.asdict(), reported)
