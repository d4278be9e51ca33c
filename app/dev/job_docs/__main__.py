"""`python -m app.dev.job_docs [--check]`."""

import argparse
import sys

from app.dev.job_docs import DOCS, DocumentationMissing, generated, outdated
from app.output import fail, out


def main() -> int:
    """Write the files, or say which are out of date; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m app.dev.job_docs", description="Write docs/jobs.md and docs/schemas/."
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail when something is out of date"
    )
    check = parser.parse_args().check
    try:
        wrong = outdated()
        if check:
            for name in wrong:
                fail(f"docs/{name} is out of date; run `python -m app.dev.job_docs`")
            return 1 if wrong else 0
        files = generated()
    except DocumentationMissing as error:
        fail(str(error))
        return 1
    for path, text in files.items():
        (DOCS / path).parent.mkdir(exist_ok=True)
        (DOCS / path).write_text(text)
    for stale in set((DOCS / "schemas").glob("*.json")) - {DOCS / path for path in files}:
        stale.unlink()
    out.print(f"{len(wrong)} files written: {', '.join(wrong) or 'nothing was out of date'}.")
    return 0


sys.exit(main())
