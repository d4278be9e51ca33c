"""Closing an attempt that did not succeed, whatever strikes meanwhile."""

from collections.abc import Callable


def close_reliably(close: Callable[[BaseException], None], error: BaseException) -> None:
    """Close once more when an interrupt strikes the closing; an attempt is interrupted at most once.

    A remote service that is given as long as the attempt has left gives up a moment before the time limit, which then
    strikes the closing.

    Parameters:
        close: may run twice, and keeps ordinary errors to itself.
        error: what the attempt ended with.

    Raises:
        BaseException: the interrupt, which is what the attempt ends with.

    Example:
        >>> try:
        ...     work()
        ... except BaseException as error:
        ...     close_reliably(give_back, error)
        ...     raise
    """
    try:
        close(error)
    except BaseException as interrupt:
        close(interrupt)
        raise
