"""The start of an experiment, on plain fakes."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.errors import Cancelled, InvalidInput, NotFound
from domain.experiment_start import (
    ExperimentRepository,
    ExperimentRun,
    ExperimentStart,
    StartExperiment,
    StartOutcome,
    Status,
)
from domain.metadata import MAX_BYTES, MAX_DEPTH
from domain.ports import T
from tests.domain.idea_fakes import FakeRun

ORG, EXPERIMENT, OTHER = UUID(int=11), UUID(int=12), UUID(int=13)
SECRET = "not-for-the-log"
GOOD: dict[str, object] = {"org_id": str(ORG), "experiment_id": str(EXPERIMENT), "triggered_by": "ann"}


@dataclass
class World:
    """One experiment of one org; `Transactions` and repository at once. Its steps are written down."""

    status: Status = "ready"
    variants: int = 2
    known: list[ExperimentRun] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    #: What somebody does who holds the experiment as we ask for it.
    comes_first: Callable[[], None] = lambda: None

    def __call__(
        self, org_id: UUID, work: Callable[[ExperimentRepository], T], *, timeout_s: float = 30.0
    ) -> T:
        assert org_id == ORG
        return work(self)

    def lock_runs(self, experiment_id: UUID) -> None:
        self.steps.append("lock runs")

    def lock_experiment(self, experiment_id: UUID) -> Status | None:
        self.steps.append("lock experiment")
        self.comes_first()
        return self.status if experiment_id == EXPERIMENT else None

    def runs(self, experiment_id: UUID, own: UUID) -> list[ExperimentRun]:
        return [run for run in self.known if run.is_running or run.run_id == own]

    def count_variants(self, experiment_id: UUID) -> int:
        return self.variants

    def start(self, experiment_id: UUID, run_id: UUID, job: ExperimentStart) -> None:
        self.steps.append("start")
        self.has_run(run_id)

    def has_run(self, run_id: UUID) -> None:
        """A run of this id is running."""
        self.status = "running"
        self.known.append(ExperimentRun(run_id=run_id, is_running=True))


def parsed(**changed: object) -> ExperimentStart:
    return ExperimentStart.model_validate_json(json.dumps(GOOD | changed))


def started(world: World, run: FakeRun | None = None, **changed: object) -> StartOutcome:
    return StartExperiment(run=run or FakeRun(), transactions=world)(parsed(**changed))


def nested(depth: int) -> dict[str, object]:
    """Objects within each other, the metadata itself being the first."""
    return {"a": nested(depth - 1)} if depth > 1 else {}


def test_a_ready_experiment_starts() -> None:
    """The run is named after the job, so that the job knows it again."""
    world, run = World(), FakeRun()

    assert started(world, run) == StartOutcome(status="started", run_id=run.job_id)
    assert world.steps == ["lock runs", "lock experiment", "start"]
    assert run.percents == [100]


def test_a_running_experiment_is_left_untouched() -> None:
    """The job is told whose run it is."""
    world = World()
    world.has_run(OTHER)

    assert started(world) == StartOutcome(status="already_running", run_id=OTHER)
    assert "start" not in world.steps


def test_whoever_comes_second_sees_the_first_ones_run() -> None:
    """What was true before the lock was held decides nothing."""
    world = World()
    world.comes_first = lambda: world.has_run(OTHER)

    assert started(world) == StartOutcome(status="already_running", run_id=OTHER)
    assert "start" not in world.steps


@pytest.mark.parametrize("is_running", [True, False], ids=["running", "ended"])
@pytest.mark.parametrize("status", ["running", "paused", "completed"])
def test_a_job_that_is_delivered_again_knows_its_own_run(status: Status, is_running: bool) -> None:
    """It says `started` once more, whatever has become of the run since, and starts nothing."""
    run = FakeRun()
    world = World(status=status, known=[ExperimentRun(run_id=run.job_id, is_running=is_running)])

    assert started(world, run) == StartOutcome(status="started", run_id=run.job_id)
    assert "start" not in world.steps


@pytest.mark.parametrize(
    ("status", "fix"),
    [
        ("draft", "mark it ready"),
        ("paused", "resume it"),
        ("completed", "new experiment"),
        ("archived", "new experiment"),
        ("running", "has no run"),
    ],
)
def test_what_is_not_ready_does_not_start(status: Status, fix: str) -> None:
    """The error is final, names the status, and says what to do."""
    world = World(status=status)

    with pytest.raises(InvalidInput, match=f"is {status}, not ready.*{fix}") as caught:
        started(world)
    assert not caught.value.retryable
    assert "start" not in world.steps


def test_a_run_of_a_paused_experiment_is_no_reason_to_say_it_runs() -> None:
    """Its status is what it is refused for."""
    world = World(status="paused", known=[ExperimentRun(run_id=OTHER, is_running=True)])

    with pytest.raises(InvalidInput, match="paused"):
        started(world)


def test_an_experiment_set_back_while_its_run_goes_on_is_running() -> None:
    """There can be one run, and there is one."""
    world = World(known=[ExperimentRun(run_id=OTHER, is_running=True)])

    assert started(world) == StartOutcome(status="already_running", run_id=OTHER)


@pytest.mark.parametrize("variants", [0, 1])
def test_there_is_nothing_to_compare_in_one_variant(variants: int) -> None:
    """Two are needed, and the error says so."""
    world = World(variants=variants)

    with pytest.raises(InvalidInput, match=f"has {variants} variants; add some until there are 2"):
        started(world)
    assert "start" not in world.steps


def test_an_experiment_that_is_not_there_is_not_found() -> None:
    """In the words of every other thing."""
    with pytest.raises(NotFound, match=f"experiment {OTHER} not found"):
        started(World(), experiment_id=str(OTHER))


def test_a_cancelled_job_begins_nothing() -> None:
    """It stops before its transaction."""
    world = World()

    with pytest.raises(Cancelled):
        started(world, FakeRun(cancelled_at=1))
    assert world.steps == []


def test_metadata_is_optional() -> None:
    """None is not the same as an empty one, which replaces."""
    assert parsed().metadata is None
    assert parsed(metadata={}).metadata == {}


@pytest.mark.parametrize(
    "edge",
    [
        {"triggered_by": "x" * 256},
        {"triggered_by": f" {'x' * 256} "},
        {"metadata": {f"key {number}": number for number in range(50)}},
        {"metadata": {"x" * 100: None}},
        {"metadata": {"a": "x" * (MAX_BYTES - len('{"a":""}') - 1)}},
        {"metadata": {"a": "\U0001f600" * ((MAX_BYTES - len('{"a":""}') - 1) // 4)}},
        {"metadata": nested(MAX_DEPTH)},
        {"metadata": {"a": [1, 2.5, True, None, "b", {"c": []}], "b": 2**63 - 1, "c": -(2**63)}},
    ],
    ids=lambda edge: str(edge)[:40],
)
def test_the_bounds_themselves_fit(edge: dict[str, object]) -> None:
    """Each limit is the last value allowed; sizes are those of compact UTF-8."""
    parsed(**edge)


@pytest.mark.parametrize(
    "wrong",
    [
        {"org_id": "acme"},
        {"experiment_id": 7},
        {"triggered_by": ""},
        {"triggered_by": "  "},
        {"triggered_by": "x" * 257},
        {"triggered_by": "a\x00b"},
        {"metadata": []},
        {"metadata": "a"},
        {"metadata": {f"key {number}": number for number in range(51)}},
        {"metadata": {"x" * 101: None}},
        {"metadata": {"a": "x" * (MAX_BYTES - len('{"a":""}'))}},
        {"metadata": {"a": "\U0001f600" * (MAX_BYTES // 4)}},
        {"metadata": nested(MAX_DEPTH + 1)},
        {"metadata": {"a": {"b": ["c", "d\x00e"]}}},
        {"metadata": {"a": {"b\x00": 1}}},
        {"metadata": {"a\x00": 1}},
        {"metadata": {"a": [2**63]}},
        {"metadata": {"a": -(2**63) - 1}},
        {"metadate": {}},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
def test_what_does_not_fit_is_refused(wrong: dict[str, object]) -> None:
    """Bounds, types, and whatever JSONB cannot hold, however deep; the error names the field."""
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        parsed(**wrong)


@pytest.mark.parametrize("value", ["1e999", "NaN", "-Infinity", '"\\ud800"', '{"a": "\\udc00"}'])
def test_what_json_texts_can_smuggle_in_is_refused(value: str) -> None:
    """Numbers too large to be any, and halves of characters."""
    text = json.dumps(GOOD)[:-1] + f', "metadata": {{"a": {value}}}}}'

    with pytest.raises(ValidationError):
        ExperimentStart.model_validate_json(text)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), "\ud800", {"\udfff": 1}, object(), b"a", {1: 2}, [UUID(int=1)]]
)
def test_what_only_python_can_hold_is_refused(value: object) -> None:
    """Also when the job is built in the process that sends it."""
    with pytest.raises(ValidationError):
        ExperimentStart.model_validate(
            {
                "org_id": ORG,
                "experiment_id": EXPERIMENT,
                "triggered_by": "ann",
                "metadata": {"a": value},
            }
        )


def test_lists_without_an_end_are_refused() -> None:
    """As deep as a payload can be made, it costs an error and no more."""
    deep = "[" * 100_000 + "]" * 100_000
    text = json.dumps(GOOD)[:-1] + f', "metadata": {{"a": {deep}}}}}'

    with pytest.raises(ValidationError):
        ExperimentStart.model_validate_json(text)


words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(words, children, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(st.dictionaries(words, plain, max_size=10))
def test_metadata_survives_the_wire(metadata: dict[str, object]) -> None:
    """Any JSON within the bounds reaches the worker as it was."""
    job = parsed(metadata=metadata)
    assert job.metadata == metadata
    assert ExperimentStart.model_validate_json(job.model_dump_json()) == job


@pytest.mark.parametrize(
    "wrong",
    [
        {"triggered_by": SECRET * 30},
        {"metadata": {"token": f"{SECRET}\x00"}},
        {"metadata": {SECRET * 20: 1}},
        {"metadata": {"token": SECRET * 3_000}},
        {SECRET: 1},
    ],
    ids=["triggered_by", "NUL", "key", "size", "unknown"],
)
def test_errors_never_quote_what_came_in(wrong: dict[str, object]) -> None:
    """Metadata may hold anything; an error tells what is wrong with it and none of it."""
    with pytest.raises(ValidationError) as caught:
        parsed(**wrong)
    assert SECRET not in str(caught.value).replace(
        f"\n{SECRET}\n", ""
    )  # an unknown field's name is its place
