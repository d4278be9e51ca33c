"""The way of a message from `enqueue` to the server: where it goes, the hooks, its bounds, and its encoding."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from dramatiq import Broker, Message
from dramatiq.common import q_name

from .bounds import cut_delay, delay_of
from .hooks import HookRunner
from .leasing.lease import Sent
from .sending import Encoder, Sender

#: Decides where a message goes: the message itself, or a copy of it on another queue.
Route = Callable[[Message[Any]], Message[Any]]


class Enqueuer:
    """Enqueues messages: sends them, or, from a message's after hooks, lets them go along with that message's end.

    Each is routed once, before its hooks and its encoding.

    Parameters:
        broker: calls the hooks.
        encoder: makes of a message what scripts take.
        sender: sends it.
        hooks: knows the message whose after hooks run on this thread, if any.
        route: decides where a message goes. Default None: to the queue it names.
    """

    def __init__(
        self, broker: Broker, encoder: Encoder, sender: Sender, hooks: HookRunner, route: Route | None
    ) -> None:
        self._broker = broker
        self._encode = encoder
        self._sender = sender
        self._hooks = hooks
        self._route = route

    def enqueue(self, message: Message[Any], delay: int | None, parked: str = "") -> Message[Any]:
        """Enqueue a message; see `FairRedisBroker.enqueue`.

        Parameters:
            message: what to send.
            delay: milliseconds until it is due; None for now.
            parked: `<cause>\\n<key>`, where it is parked; no bound holds for it then. Default: it is not.
        """
        message = self._routed(message)
        lease = self._hooks.current_lease
        delay_ms = cut_delay(delay) if parked or lease is not None else delay_of(delay)
        if lease is None:
            self._encode.check(message)
        self._broker.emit_before("enqueue", message, delay)
        if lease is not None:
            # Nobody would hear of an error: what goes along with an end is never dropped.
            lease.carried.append(self._encode.salvage(message, delay_ms, parked))
        else:
            sent = self._encode(message, delay_ms, parked)
            self._sender.check_size(message.actor_name, sent)
            if parked:
                self._sender.park(sent)
            else:
                self._sender.send([sent])
        self._broker.emit_after("enqueue", message, delay)
        return message

    def enqueue_many(
        self, messages: Iterable[Message[Any]], delay: int | None
    ) -> list[Message[Any] | Exception]:
        """Enqueue many messages; see `FairRedisBroker.send_many`."""
        carrying = self._hooks.current_lease is not None
        delay_ms = cut_delay(delay) if carrying else delay_of(delay)
        encode = self._encode.salvage if carrying else self._encode
        results: list[Message[Any] | Exception] = []
        indexes: list[int] = []
        encoded: list[Sent] = []
        for message in messages:
            try:
                routed = self._routed(message)
                if not carrying:
                    self._encode.check(routed)
                self._broker.emit_before("enqueue", routed, delay)
                sent = encode(routed, delay_ms)
                self._sender.check_size(routed.actor_name, sent)
            except Exception as error:  # noqa: BLE001  # it is this message's answer
                results.append(error)
            else:
                indexes.append(len(results))
                results.append(routed)
                encoded.append(sent)
        faults = self._send(encoded)
        for index, fault in zip(indexes, faults, strict=True):
            if fault is not None:
                results[index] = fault
            else:
                self._broker.emit_after("enqueue", results[index], delay)
        return results

    def _send(self, messages: list[Sent]) -> list[Exception | None]:
        lease = self._hooks.current_lease
        if lease is None:
            return self._sender.send_all(messages)
        lease.carried.extend(messages)
        return [None] * len(messages)

    def _routed(self, message: Message[Any]) -> Message[Any]:
        queue: object = message.queue_name
        options: object = message.options
        if not isinstance(queue, str) or not isinstance(options, dict):
            return message  # its encoder says what is wrong with it
        plain = _plain(message)
        return plain if self._route is None else self._route(plain)


def _plain(message: Message[Any]) -> Message[Any]:
    """What Dramatiq's own brokers write into a delayed message means nothing here."""
    if "eta" not in message.options and not message.queue_name.endswith(".DQ"):
        return message
    options = {name: value for name, value in message.options.items() if name != "eta"}
    return replace(message, queue_name=q_name(message.queue_name), options=options)
