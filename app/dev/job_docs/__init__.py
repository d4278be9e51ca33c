"""`docs/jobs.md` and `docs/schemas/`, written from the contracts: nobody keeps them by hand.

`python -m app.dev.job_docs` writes them, `--check` says what is out of date. What they say comes from where it is true:
an actor's options, its contract's fields and docstring, its handler's `Raises`. The example of a job stands in its
contract's docstring, and is run.
"""

import json
from pathlib import Path

import actors
from app.broker import broker
from app.dev.job_docs.facts import DocumentationMissing, facts_of
from app.dev.job_docs.page import page
from middleware import json_schemas

__all__ = ["DOCS", "DocumentationMissing", "generated", "outdated"]

#: Where they are kept.
DOCS = Path(__file__).resolve().parents[3] / "docs"


def generated() -> dict[Path, str]:
    """Every generated file, relative to `docs`, with what it should say.

    Raises:
        DocumentationMissing: a contract has no example, a field no meaning, or a handler no `Raises`; it is named.
    """
    schemas = json_schemas(broker)
    files = {
        Path("schemas") / f"{name}.json": json.dumps(schema, indent=2) + "\n"
        for name, schema in schemas.items()
        if name in actors.__all__
    }
    facts = [facts_of(broker.get_actor(name), schemas.get(name)) for name in actors.__all__]
    return {Path("jobs.md"): page(facts), **files}


def outdated(docs: Path = DOCS) -> list[str]:
    """What in the folder is not as it should be, by name; schemas of jobs that are gone too."""
    wanted = generated()
    wrong = [path for path, text in wanted.items() if _read(docs / path) != text]
    gone = [
        path.relative_to(docs)
        for path in (docs / "schemas").glob("*.json")
        if path.relative_to(docs) not in wanted
    ]
    return sorted(map(str, [*wrong, *gone]))


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None
