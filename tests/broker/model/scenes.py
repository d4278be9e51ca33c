"""What tests of single transitions do to a fleet."""

from broker.leasing.lease import DONE, Lease, Sent
from tests.broker.model.fleet import Fleet


def leased(fleet: Fleet, sent: Sent) -> Lease:
    """The message, with the first worker."""
    fleet.send([sent])
    [lease] = fleet.fetch(fleet.workers[0], sent.record.decode().partition("\n")[0], 1)
    return lease


def die(fleet: Fleet, what: str = "signal 9") -> None:
    """The first worker ends, and another sees to what it held."""
    worker = fleet.workers[0]
    fleet.put_to_sleep(0)
    fleet.report(worker, what)
    fleet.flush(fleet.workers[1])


def suspect(fleet: Fleet, sent: Sent) -> None:
    """A message two workers have died with."""
    fleet.send([sent])
    for _ in range(2):
        fleet.fetch(fleet.workers[0], "q", 1)
        die(fleet)


def end_all(fleet: Fleet, number: int, leases: list[Lease] | None = None) -> None:
    """A worker is done with what it holds."""
    worker = fleet.workers[number]
    for lease in leases or list(worker.holds):
        worker.end(lease, DONE)
    fleet.flush(worker)
