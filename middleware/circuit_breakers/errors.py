"""What circuit breakers raise."""

import pybreaker

from ..base.errors import GuardError, Parked


class CircuitOpen(Parked, pybreaker.CircuitBreakerError):
    """The call was not made: the circuit is open or being tried by others, or its store does not answer.

    In a job it parks the job, at no cost to its attempts; elsewhere it is pybreaker's error, and `delay_ms` says when
    to come back.

    Example:
        >>> try:
        ...     rates = breakers["rates"].call(fetch_rates)
        ... except CircuitOpen:
        ...     rates = yesterdays_rates()
    """


class InvalidDependency(GuardError, ValueError):
    """An actor or a message names a dependency in a way that cannot be one."""
