"""A stub broker that says it can enforce things, and remembers what it was asked."""

from collections.abc import Collection, Mapping
from typing import Any

import dramatiq
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker
from dramatiq.errors import ConnectionClosed

from middleware.base.delegation import AckOperation

#: The server's clock, which stands still.
NOW_MS = 1_800_000_000_000


class EnforcingBroker(StubBroker):
    """SupportsLimits nothing; whoever hands something over must not notice.

    Parameters:
      refuses: Kinds of rules it leaves to the guards.
    """

    def __init__(self, *, refuses: Collection[str] = ()) -> None:
        super().__init__(middleware=[])
        self.refuses = refuses
        self.is_away = False
        self.rules: list[Any] = []
        #: What is shut, by source, and how often each source said so.
        self.gates: dict[str, dict[str, tuple[int, str]]] = {}
        self.reported: list[tuple[str, dict[str, tuple[int, str]]]] = []
        self.parked: list[tuple[int, str, str | None]] = []
        self.released: list[str] = []
        self.operations: list[AckOperation] = []
        self.refunded: list[str] = []

    def enforce(self, rule: Any) -> bool:
        if self.is_away:
            raise ConnectionClosed("away")  # type: ignore[no-untyped-call]
        self.rules.append(rule)
        return rule.kind not in self.refuses

    def shut(self, source: str, gates: Mapping[str, tuple[int, str]]) -> None:
        if self.is_away:
            raise ConnectionClosed("away")  # type: ignore[no-untyped-call]
        self.gates[source] = dict(gates)
        self.reported.append((source, dict(gates)))

    def server_now_ms(self) -> int:
        return NOW_MS

    def park(
        self, message: "dramatiq.Message[Any]", *, delay_ms: int, cause: str, key: str | None
    ) -> "dramatiq.Message[Any]":
        self.parked.append((delay_ms, cause, key))
        return self.enqueue(message, delay=delay_ms)

    def release(self, key: str) -> int:
        self.released.append(key)
        return 0

    def on_ack(self, message: MessageProxy, operation: AckOperation) -> bool:
        self.operations.append(operation)
        return True

    def refund_start(self, message: MessageProxy) -> None:
        self.refunded.append(message.message_id)

    def kinds(self) -> list[str]:
        """The kinds of the rules it was handed."""
        return [rule.kind for rule in self.rules]
