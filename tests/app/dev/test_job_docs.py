"""The jobs' documentation: true today, complete, and its examples fit."""

import ast
import importlib
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar
from uuid import UUID

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import SecretStr

import actors
from app.broker import broker
from app.dev.job_docs import DOCS, DocumentationMissing, generated, outdated
from app.dev.job_docs.facts import Failure, Job, facts_of
from app.dev.job_docs.words import limits_in_words, nested, type_in_words
from domain.contract import TenantJob
from middleware import json_schemas
from middleware.contracts.guard import contract_of, parse

WITH_CONTRACT = [name for name in actors.__all__ if contract_of(broker.get_actor(name)) is not None]


def facts(name: str) -> Job:
    """What is known of one job of the platform."""
    return facts_of(broker.get_actor(name), json_schemas(broker).get(name))


def test_what_is_kept_is_what_the_contracts_say_today() -> None:
    """After a change of a contract, `python -m app.dev.job_docs` writes docs/jobs.md and docs/schemas/ anew."""
    assert outdated() == [], "out of date; run `python -m app.dev.job_docs`"


@pytest.mark.parametrize("name", actors.__all__)
def test_every_job_has_its_section(name: str) -> None:
    """With its queue, priority, retries and time limit in the table."""
    page = generated()[Path("jobs.md")]
    actor = broker.get_actor(name)

    assert f"\n## {name}\n" in page
    (row,) = re.findall(rf"^\| \[{name}\].*$", page, re.MULTILINE)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1] == actor.queue_name
    assert cells[2].endswith(f"({actor.priority})")
    assert cells[3] == str(actor.options["max_retries"])


@pytest.mark.parametrize("name", WITH_CONTRACT)
def test_an_example_fits_its_contract_and_its_exported_schema(name: str) -> None:
    """So that whoever copies it, in Python or from another language, has a message that is taken."""
    job = facts(name)
    assert job.example is not None
    assert job.contract is not None
    parse(name, job.contract, json.dumps(job.example.payload))
    schema = json.loads((DOCS / "schemas" / f"{name}.json").read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    assert [error.message for error in validator.iter_errors(job.example.payload)] == []
    assert list(validator.iter_errors({**job.example.payload, "fromat": 1})), "the schema refuses nothing"


def test_every_snippet_of_python_is_python() -> None:
    """And imports what it uses."""
    page = generated()[Path("jobs.md")]
    snippets = re.findall(r"```python\n(.*?)```", page, re.DOTALL)

    assert len(snippets) == len(actors.__all__)
    for snippet in snippets:
        imports = [each for each in ast.parse(snippet).body if isinstance(each, ast.ImportFrom)]
        assert imports
        for each in imports:
            module = importlib.import_module(str(each.module))
            assert all(hasattr(module, name.name) for name in each.names)


def test_a_file_that_was_edited_or_left_over_is_named(tmp_path: Path) -> None:
    """That is what `--check` prints."""
    for path, text in generated().items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    assert outdated(tmp_path) == []

    (tmp_path / "jobs.md").write_text("by hand")
    (tmp_path / "schemas" / "gone.json").write_text("{}")

    assert outdated(tmp_path) == ["jobs.md", "schemas/gone.json"]


class NoExample(TenantJob):
    """Ask for nothing."""

    item_id: UUID
    """Which."""


class NoMeaning(TenantJob):
    """Ask for nothing.

    Example:
        >>> NoMeaning(org_id=org, item_id=item)
    """

    item_id: UUID


class BadExample(TenantJob):
    """Ask for nothing.

    Example:
        >>> BadExample(org_id=org, item_id="seven")
    """

    item_id: UUID
    """Which."""


class Complete(TenantJob):
    """Ask for something.

    Example:
        >>> secret = SecretStr("5f2c...")
        >>> Complete(org_id=org, token=secret)
    """

    contract_version: ClassVar[int] = 3

    token: SecretStr
    """What opens it."""


class Handle:
    """Does them all."""

    def __call__(self, job: Complete) -> None:
        """Do it.

        Raises:
            NotFound, DatabaseUnavailable: in one line,
                or in two.
            Cancelled,
            DeadlineExceeded: between two steps.
        """


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> StubBroker:
    """A broker of the test's own, whose jobs' handlers stand in this module."""
    module = SimpleNamespace(__name__=__name__, Handle=Handle)
    monkeypatch.setattr("app.dev.job_docs.facts._modules", lambda: [module])
    return StubBroker(middleware=[])


def documented(broker: StubBroker, contract: type[TenantJob], monkeypatch: pytest.MonkeyPatch) -> Job:
    """One job with this contract, as its documentation would know it."""
    monkeypatch.setattr(Handle.__call__, "__annotations__", {"job": contract, "return": None})

    def job(job: TenantJob) -> None:
        """Do it."""

    job.__annotations__["job"] = contract
    return facts_of(dramatiq.actor(broker=broker)(job), contract.model_json_schema())


@pytest.mark.parametrize(
    ("contract", "said"),
    [
        (NoExample, "NoExample has no example"),
        (NoMeaning, "NoMeaning: item_id without a meaning"),
        (BadExample, "the example of .*BadExample does not run"),
    ],
)
def test_what_is_missing_is_reported_by_the_contracts_name(
    elsewhere: StubBroker, monkeypatch: pytest.MonkeyPatch, contract: type[TenantJob], said: str
) -> None:
    """Whoever adds a job learns at once what to write, and where."""
    with pytest.raises(DocumentationMissing, match=said):
        documented(elsewhere, contract, monkeypatch)


def test_a_job_without_a_handler_is_reported(elsewhere: StubBroker) -> None:
    """It could not say what ends it."""

    @dramatiq.actor(broker=elsewhere)
    def job(job: NoExample) -> None:
        """Do it."""

    with pytest.raises(DocumentationMissing, match=r"no handler of job .* takes NoExample"):
        facts_of(job, None)


def test_a_complete_job_says_everything(elsewhere: StubBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version, errors with how they are treated, and an example with its imports; what it cuts short is filled in."""
    job = documented(elsewhere, Complete, monkeypatch)

    assert job.version == 3
    assert job.failures == (
        Failure(
            names=("NotFound",), meaning="in one line, or in two.", category="validation", retryable=False
        ),
        Failure(
            names=("DatabaseUnavailable",),
            meaning="in one line, or in two.",
            category="database",
            retryable=True,
        ),
        Failure(names=("Cancelled",), meaning="between two steps.", category="cancelled", retryable=False),
        Failure(
            names=("DeadlineExceeded",), meaning="between two steps.", category="timeout", retryable=True
        ),
    )
    assert job.example is not None
    assert job.example.imports == (f"from {__name__} import Complete, SecretStr",)
    assert str(job.example.payload["token"]).startswith("5f2c0")


@pytest.mark.parametrize(
    ("schema", "kind", "limits"),
    [
        ({"type": "string", "format": "uuid"}, "UUID", ""),
        ({"type": "string", "maxLength": 9}, "text", "at most 9 characters"),
        (
            {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
            "whole number or null",
            "at least 1",
        ),
        ({"enum": ["a", "b"]}, "one of `a`, `b`", ""),
        (
            {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 2}, "minItems": 3},
            "list of text",
            "at least 3 of them, each 1 to 2 characters",
        ),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "object of number by name", ""),
        ({"type": "number", "exclusiveMinimum": 0}, "number", "more than 0"),
        ({"type": "string", "pattern": "^a$"}, "text", "like `^a$`"),
        ({}, "any JSON", ""),
    ],
)
def test_schemas_are_reported_in_words(schema: dict[str, object], kind: str, limits: str) -> None:
    """For people who never saw a JSON Schema."""
    assert (type_in_words(schema), limits_in_words(schema)) == (kind, limits)


def test_models_within_are_found_through_lists_and_choices() -> None:
    """Each gets a table of its own."""
    schema = {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/A"}}, {"$ref": "#/$defs/B"}]}

    assert nested(schema) == ["A", "B"]
