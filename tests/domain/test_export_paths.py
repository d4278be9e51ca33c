"""Paths and keys: what may be named."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import UnsafePath
from domain.export_paths import safe_segments

#: Paths made of what tricks are made of.
TRICKS = st.lists(
    st.sampled_from(
        ["..", ".", "/", "\\", "a", "b.csv", "\x00", "\n", "~", " ", "", "//", "C:", "‥", "．．", "%2e"]
    ),
    max_size=8,
).map("".join)


@pytest.mark.parametrize("path", ["site.csv", "2026/07/site.csv", "παν/日本 語.pdf", "~", "a..b", "%2e%2e/x"])
def test_plain_paths_pass(path: str) -> None:
    """Relative paths in any script pass, segment by segment."""
    assert "/".join(safe_segments(path)) == path


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "../site.csv",
        "a/../../site.csv",
        "a/..",
        ".",
        "./a",
        "a/./b",
        "/etc/passwd",
        "//host/share",
        "a//b",
        "a/",
        "/",
        "",
        "..\\site.csv",
        "a\\..\\b",
        "C:\\site.csv",
        "a\x00.csv",
        "a\n.csv",
        "a/\x7f",
        ".hidden",
        "a/.ssh/keys",
        "x" * 256,
        "é" * 128,
        "\ud800",
    ],
)
def test_tricks_are_refused(path: str) -> None:
    """Whatever could lead elsewhere, hide, or mean two things is refused with the domain's error."""
    with pytest.raises(UnsafePath):
        safe_segments(path)


@given(st.one_of(TRICKS, st.text()))
def test_what_passes_stays_inside(path: str) -> None:
    """Every path that passes lies, once resolved, below the folder it is joined to."""
    try:
        segments = safe_segments(path)
    except UnsafePath:
        return
    resolved = os.path.normpath(os.path.join("/base", *segments))  # noqa: PTH118
    assert resolved == f"/base/{path}"
