"""Which paths and object keys an export may name: only such that mean the same to every reader of them."""

import unicodedata

from .errors import UnsafePath

#: Bytes in one segment that every common file system takes.
MAX_SEGMENT_BYTES = 255


def safe_segments(path: str) -> tuple[str, ...]:
    """The segments of a relative path or object key, none of which can lead anywhere else.

    Parameters:
        path: segments joined by "/".

    Raises:
        UnsafePath: it is absolute, has empty, hidden or overlong segments, `.` or `..`, a backslash or a
            control character. The message names the rule.

    Example:
        >>> safe_segments("2026/site.csv")
        ('2026', 'site.csv')
    """
    segments = tuple(path.split("/"))
    for segment in segments:
        if not segment:
            raise UnsafePath(
                f"{path!r} is absolute or has an empty segment; name it like 'folder/site.csv', without a "
                "leading, trailing or double slash"
            )
        if segment.startswith("."):
            raise UnsafePath(
                f"{path!r} has the segment {segment!r}; segments must not start with a dot, which leads "
                "elsewhere or hides the file"
            )
        if any(character == "\\" or unicodedata.category(character) in {"Cc", "Cs"} for character in segment):
            raise UnsafePath(f"{path!r} has a backslash or a control character; leave it out")
        if len(segment.encode()) > MAX_SEGMENT_BYTES:
            raise UnsafePath(f"a segment of the path is longer than {MAX_SEGMENT_BYTES} bytes; shorten it")
    return segments
