"""Pages lead somewhere: each link has a target, and each path in the text is in the tree."""

import re
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, pages

#: Folders whose paths pages name from the root of the checkout.
_FOLDERS = "actors|adapters|app|broker|benchmarks|docs|domain|examples|middleware|migrations|tests"


@pytest.mark.parametrize("page", pages())
def test_links_have_targets(page: str) -> None:
    """Files exist, and headings that are linked to."""
    text = _prose(page)
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            dead.append(target)

    assert dead == []


@pytest.mark.parametrize("page", pages())
def test_paths_in_the_text_exist(page: str) -> None:
    """A file that has moved is not looked for where it was."""
    named = re.findall(rf"`((?:{_FOLDERS})/[\w./-]*)`", _prose(page))

    assert [path for path in named if not (ROOT / path).exists()] == []


def _prose(page: str) -> str:
    return re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)


def _anchors(file: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
