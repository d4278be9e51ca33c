"""What may go into Redis: delays that are a time, and text that has an encoding."""

import logging
import math
from typing import Final

#: The furthest ahead that a message may be due, in milliseconds: ten years.
MAX_DELAY_MS: Final = 3_653 * 24 * 60 * 60 * 1_000

logger = logging.getLogger(__name__)


def delay_of(delay: object) -> int:
    """The delay that a sender asks for, in milliseconds; what is past, and None, is 0.

    Raises:
        ValueError: it is no number of milliseconds, or more than ten years.

    Example:
        >>> delay_of(1_500.5)
        1501
    """
    if delay is None:
        return 0
    if isinstance(delay, bool) or not isinstance(delay, int | float) or delay != delay:
        raise ValueError(f"a delay is a number of milliseconds, not {_short(delay)}")
    if delay > MAX_DELAY_MS:
        raise ValueError(
            f"a delay of {_short(delay)} ms is more than ten years ({MAX_DELAY_MS} ms); it is in milliseconds"
        )
    return max(0, math.ceil(max(delay, 0)))


def cut_delay(delay: object) -> int:
    """The delay of a park or a retry, in milliseconds: what is no time, or more than ten years, is cut to that."""
    try:
        return delay_of(delay)
    except ValueError as error:
        logger.warning("A message that is put off waits for ten years, not for longer: %s.", error)
        return MAX_DELAY_MS


def printable(text: str) -> str:
    r"""Text that has an encoding: half a character is written out, as in `\ud800`."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def is_text(value: object) -> bool:
    """Check that something is text, and has an encoding."""
    if not isinstance(value, str):
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def to_wire(value: str | bytes | int | float) -> str | bytes | int | float:
    """An argument of a script, so that no text of a foreign key fails to be sent back as it came."""
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def from_wire(value: bytes) -> str:
    """Text of Redis; bytes that are none keep apart from all others, and go back as they came."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("utf-8", "surrogateescape")


def _short(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # an int of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 40 else f"{text[:40]}..."
