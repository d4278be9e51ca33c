"""Refuses numbers that cannot be meant, in the same words everywhere."""


def check_at_least(least: int, **numbers: float | None) -> None:
    """Refuse what is less than a bound; None, which means no limit, passes.

    Parameters:
      least: The bound.
      numbers: Each under the name by which the caller knows it.

    Raises:
      ValueError: One is less; the message says which, and what it was.

    Example:
      >>> check_at_least(1, window_ms=window_ms, park_ms=park_ms)
    """
    for name, number in numbers.items():
        if number is not None and number < least:
            raise ValueError(f"{name} must be at least {least}, not {number}")


def check_positive(**numbers: float | None) -> None:
    """Refuse what is not more than 0; None, which means no limit, passes.

    Parameters, errors: As for `check_at_least`.

    Example:
      >>> check_positive(interval_s=interval_s)
    """
    for name, number in numbers.items():
        if number is not None and not number > 0:
            raise ValueError(f"{name} must be more than 0, not {number}")
