"""What README and docs show can be copied: every Python block runs, and every actor in one has been worked."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.databases import Database
from tests.docs.blocks import ROOT, Block, blocks_of, pages
from tests.middleware.own_server import own_valkey

pytestmark = pytest.mark.slow

BLOCKS = [block for page in pages() for block in blocks_of(page)]
RUNNABLE = [block for block in BLOCKS if block.excerpt is None]

#: Blocks that cannot run, of all pages together.
MAX_EXCERPTS = 2


#: Blocks that do not work, and what is to be said of each.
PLANTED = (
    ("resize.send(Resize(image=7))", "ValidationError"),
    ("resize.send(job)  # raises InvalidPayload", "nothing was raised"),
    ("@dramatiq.actor(broker=broker)\ndef export(rows):\n    rows.no_such_thing()", "a worker was given an example"),
    ("@dramatiq.actor(broker=broker)\ndef unheard_of(job: Resize): ...", "has no example"),
    ("from pressroom import History\nfrom pressroom.redis import RedisHistoryStore\n"
     "broker.add_middleware(History(RedisHistoryStore(client)))", "History must stand before Contracts"),
    (">>> job.image_id\n8", "Expected"),
    ("def test_it():\n    assert job.image_id == 8", "assert 7 == 8"),
)  # fmt: skip


@pytest.fixture(scope="module")
def all_verdicts(database: Database, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """What was wrong with each block, or None; from one process for all, on a server that nobody else uses."""
    folder = tmp_path_factory.mktemp("pages")
    written, planted = folder / "verdicts.json", folder / "planted.md"
    planted.write_text("".join(f"```python\n{source}\n```\n\n" for source, _ in PLANTED))
    with own_valkey() as server:
        done = subprocess.run(
            [sys.executable, "-m", "tests.docs", str(written), *pages(), str(planted)],
            cwd=ROOT,
            env={
                **os.environ,
                "REDIS_URL": server.url,
                "DATABASE_URL": database.worker_url,
                "DATABASE_OWNER_URL": database.owner_url,
                "DOCS_FOLDER": str(folder),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
    assert written.exists(), done.stdout + done.stderr
    found: dict[str, str | None] = json.loads(written.read_text())
    return found


@pytest.fixture(scope="module")
def verdicts(all_verdicts: dict[str, str | None]) -> dict[str, str | None]:
    """Those of the pages."""
    return {name: verdict for name, verdict in all_verdicts.items() if "planted.md" not in name}


@pytest.mark.parametrize("block", RUNNABLE, ids=lambda block: block.name)
def test_a_block_runs(verdicts: dict[str, str | None], block: Block) -> None:
    """From the preamble and the blocks above it, on real servers, its actors worked by a real worker."""
    assert verdicts.get(block.name, "nothing ran it") is None, verdicts.get(block.name)


def test_as_many_blocks_ran_as_there_are(verdicts: dict[str, str | None]) -> None:
    """Counted by their fences alone, so that none is missed by whoever collects them."""
    fences = sum(
        len(
            re.findall(
                r"^\s*(?:```|~~~)\s*(?:py|>>>)", (ROOT / page).read_text(), re.MULTILINE | re.IGNORECASE
            )
        )
        for page in pages()
    )

    assert len(verdicts) == fences - len([block for block in BLOCKS if block.excerpt])
    assert fences == len(BLOCKS)


def test_few_blocks_are_excerpts() -> None:
    """One that cannot run says why, in a comment before it."""
    assert len([block for block in BLOCKS if block.excerpt]) <= MAX_EXCERPTS


def test_no_prompt_stands_outside_a_block() -> None:
    """`>>>` in any other fence is Python that nothing would run."""
    for page in pages():
        text = (ROOT / page).read_text()
        prompts = len(re.findall(r"^\s*>>> ", text, re.MULTILINE))
        assert prompts == sum(len(re.findall(r"^>>> ", b.source, re.MULTILINE)) for b in blocks_of(page)), (
            page
        )


def test_blocks_that_do_not_work_are_found(all_verdicts: dict[str, str | None]) -> None:
    """One that does not run, does not do what it says, or has an actor that fails in a worker."""
    planted = [verdict for name, verdict in all_verdicts.items() if "planted.md" in name]

    assert len(planted) == len(PLANTED)
    assert [
        why for (_, why), verdict in zip(PLANTED, planted, strict=True) if why not in (verdict or "")
    ] == []


def test_the_preamble_is_shown() -> None:
    """The index of the docs begins with what blocks may use."""
    preamble = (ROOT / "tests/docs/preamble.py").read_text().split('"""\n\n', 1)[1]

    assert f"```python\n{preamble}```" in (ROOT / "docs/README.md").read_text()
