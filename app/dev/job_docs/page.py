"""The page itself, as Markdown."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from app.dev.job_docs.facts import Example, Job
from app.dev.job_docs.words import Schema, limits_in_words, nested, type_in_words
from domain import priorities

#: Longest line of Python, as the formatter has it, which reads pages too.
_ROW_CHARS = 110

_PREAMBLE = """\
# The jobs

Written by `python -m app.dev.job_docs` from the contracts and handlers; edit those, not this.

A contract is what `actor.send(...)` takes: unknown fields are refused, text is stripped, times carry their zone. What
does not fit is refused in the caller's face, by field and reason. Its JSON Schema stands beside this page in
[`schemas/`](schemas/). Everything a job touches belongs to its `org_id`, or is *not found*.

A retried error costs an attempt, a parked message none. What fails for good becomes a dead letter with the error's
category. Beside what each job lists, the guards end one as `timeout` (over its time), `cancelled`, `circuit_open`,
`rate_limited`, `version` or `validation`: [the guards](guards/README.md).
"""


def page(jobs: Sequence[Job]) -> str:
    """All jobs, a table first."""
    parts = [_PREAMBLE, _overview(jobs), *("\n".join(_section(job)) for job in jobs)]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _overview(jobs: Sequence[Job]) -> str:
    rows = (
        (
            f"[{job.name}](#{job.name})",
            job.actor.queue_name,
            _priority(job.actor.priority),
            str(job.actor.options.get("max_retries", "")),
            _duration(job.actor.options.get("time_limit")),
            _schedule(job),
        )
        for job in jobs
    )
    return "\n".join(_table(("job", "queue", "priority", "retries", "time limit", "schedule"), rows))


def _section(job: Job) -> Iterator[str]:
    yield f"## {job.name}"
    yield ""
    yield job.summary
    yield ""
    if job.schema is None:
        yield f"It takes nothing. Schedule: `{_schedule(job)}`. The scheduler sends it; by hand:"
        yield from ("", "```python", f"from actors import {job.name}", "", f"{job.name}.send()", "```", "")
    else:
        yield f"Contract version {job.version}: [`schemas/{job.name}.json`](schemas/{job.name}.json)."
        yield ""
        yield from _contract(job.schema)
    if job.outcome is not None:
        yield from _outcome(job.outcome)
    yield "What ends it otherwise:"
    yield ""
    yield from _table(
        ("error", "category", "retried", "when"),
        (
            (
                ", ".join(f"`{name}`" for name in each.names),
                each.category,
                "yes" if each.retryable else "no",
                each.meaning,
            )
            for each in job.failures
        ),
    )
    yield ""
    if job.example is not None and job.contract is not None:
        yield from _sending(job.name, job.contract, job.example)


def _contract(schema: Schema) -> Iterator[str]:
    """The contract's own fields, then those of each model within."""
    yield from _fields(schema)
    models = schema.get("$defs", {})
    for name in _reachable(schema, models):
        if "properties" in models[name]:
            yield f"**`{name}`**: {_first_row(models[name])}"
            yield ""
            yield from _fields(models[name])


def _fields(schema: Schema) -> Iterator[str]:
    required = set(schema.get("required", ()))
    yield from _table(
        ("field", "type", "limits", "default", "meaning"),
        (
            (
                f"`{name}`",
                type_in_words(each),
                limits_in_words(each),
                "required" if name in required else f"`{json.dumps(each.get('default'))}`",
                each.get("description", ""),
            )
            for name, each in schema["properties"].items()
        ),
    )
    yield ""


def _reachable(schema: Schema, models: dict[str, Any]) -> list[str]:
    found: list[str] = []
    waiting = [schema]
    while waiting:
        for each in waiting.pop(0).get("properties", {}).values():
            for name in nested(each):
                if name not in found:
                    found.append(name)
                    waiting.append(models[name])
    return found


def _outcome(outcome: type[BaseModel]) -> Iterator[str]:
    schema = outcome.model_json_schema(mode="serialization")
    yield "What comes of it, kept in the history, whole or in short:"
    yield ""
    yield from _table(
        ("field", "type", "meaning"),
        (
            (f"`{name}`", type_in_words(each), each.get("description", ""))
            for name, each in schema["properties"].items()
        ),
    )
    yield ""


def _sending(name: str, contract: type[BaseModel], example: Example) -> Iterator[str]:
    *before, last = example.source.split(f"{contract.__name__}(", 1)
    call = f"{contract.__name__}({last}"
    yield "How to send it:"
    yield ""
    yield "```python"
    yield f"from actors import {name}"
    yield from example.imports
    yield ""
    yield from "".join(before).rstrip().splitlines()
    short = f"{name}.send({call})"
    fits = "\n" not in call and len(short) <= _ROW_CHARS
    yield short if fits else f"{name}.send(\n{_indented(call)}\n)"
    yield "```"
    yield ""
    yield "```console"
    yield f"$ pressroom send {name} - <<'EOF'"
    yield json.dumps(example.payload, indent=2, ensure_ascii=False)
    yield "EOF"
    yield "```"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(' '.join(str(cell).replace('|', '&#124;').split()) for cell in row)} |"


def _indented(text: str) -> str:
    return "\n".join(f"    {row}" for row in text.splitlines())


def _first_row(schema: Schema) -> str:
    return str(schema.get("description", "")).partition("\n")[0]


def _schedule(job: Job) -> str:
    periodic = job.actor.options.get("periodic")
    return "" if periodic is None else str(periodic)


def _priority(value: int) -> str:
    names = {number: name.lower() for name, number in vars(priorities).items() if name.isupper()}
    return f"{names[value]} ({value})" if value in names else str(value)


def _duration(limit_ms: float | None) -> str:
    if limit_ms is None:
        return ""
    minutes, seconds = divmod(int(limit_ms) // 1_000, 60)
    return f"{minutes} min" if not seconds else f"{minutes * 60 + seconds} s"
