"""Finds leases whose thread died, or was interrupted before it could say what became of them."""

from collections.abc import Collection, Mapping, Sequence
from threading import Thread

from .leases import Lease


def look_for_forgotten(
    leases: Sequence[Lease], running: Mapping[Thread, Lease], told: Collection[Lease], old_s: float
) -> tuple[list[Lease], list[Lease]]:
    """Leases that ended and are on no list to be told, and leases that began and that no thread runs.

    Parameters:
        leases: all that are held.
        running: what each living thread runs.
        told: what is on the list to be told.
        old_s: only what ended or began before this monotonic time; anything later may be under way.
    """
    untold = [
        lease for lease in leases if lease.outcome is not None and lease.done_s < old_s and lease not in told
    ]
    forgotten = [
        lease
        for lease in leases
        if lease.outcome is None
        and lease.began_s is not None
        and lease.began_s < old_s
        and (lease.thread is None or running.get(lease.thread) is not lease)
    ]
    return untold, forgotten
