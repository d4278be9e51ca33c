"""One queue whose jobs take as long as a test says: who is next is counted in jobs, never in time."""

import dramatiq

from broker import FairRedisBroker
from broker.leasing.lease import LeasedMessage
from tests.broker.workers import take


class Turns:
    """A consumer of one queue whose jobs take as long as the test says.

    Parameters:
        fair: the broker, which has one actor.
        threads: how many run at once.
    """

    def __init__(self, fair: FairRedisBroker, *, threads: int = 1) -> None:
        self.fair = fair
        self.actor = dramatiq.actor(broker=fair, actor_name="job")(lambda: None)
        self._consumer = fair.consume("default", prefetch=threads)

    def send(self, *orgs: str) -> None:
        """A message for each, in this order."""
        for org in orgs:
            self.actor.send_with_options(org=org)

    def start(self) -> LeasedMessage:
        """Who is next."""
        return take(self._consumer)

    def end(self, message: LeasedMessage, took_ms: float = 10.0) -> None:
        """It is done, and the server knows."""
        message.lease.took_ms = took_ms
        self._consumer.ack(message)
        self._flush()

    def give_back(self, message: LeasedMessage) -> None:
        """It did not run."""
        self._consumer.requeue([message])
        self._flush()

    def run(self, count: int, took_ms: float = 10.0) -> list[str]:
        """The orgs of the next jobs, one after the other."""
        orgs = []
        for _ in range(count):
            message = self.start()
            orgs.append(org_of(message))
            self.end(message, took_ms)
        return orgs

    def time(self) -> float:
        """The queue's virtual time."""
        return float(self.fair.client.get(f"{self.fair.base}:qt:default") or 0)

    def _flush(self) -> None:
        self._consumer._session.flush()  # type: ignore[attr-defined]


def org_of(message: LeasedMessage) -> str:
    """Whose it is."""
    org = message.options["org"]
    assert isinstance(org, str)
    return org
