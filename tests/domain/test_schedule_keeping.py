"""What an org may do with its schedules."""

from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from domain.errors import InvalidInput, NotFound
from domain.limits import Limits
from domain.schedule_keeping import MAX_PAYLOAD_BYTES, KeepSchedules, NewSchedule
from domain.schedules import Schedule
from tests.domain.schedule_fakes import (
    FakePayloads,
    FakeSchedules,
    FakeTransactions,
    at,
    schedule,
    timetables,
)

ORG = uuid4()


class Rig:
    """The rules on fakes; at half past nine."""

    def __init__(self, *, runs: int = 1) -> None:
        self.repository = FakeSchedules(time=at(9, 30))
        self.payloads = FakePayloads()
        self.keep = KeepSchedules(
            transactions=FakeTransactions(self.repository, runs),
            timetables=timetables,
            payloads=self.payloads,
            new_id=uuid4,
            limits=Limits(max_schedules_per_org=2),
        )

    def add(self, **over: object) -> Schedule:
        """An hourly report."""
        given: dict[str, object] = {"name": "hourly", "actor": "report", "expression": "every 60"}
        return self.keep.add(ORG, NewSchedule.model_validate({**given, **over}), created_by="ann")

    def kept(self, **over: object) -> UUID:
        """One that is there."""
        made = schedule(org_id=ORG, **over)
        self.repository.kept[made.id] = made
        return made.id


@pytest.fixture(params=[1, 2], ids=["committed", "unheard, run again"])
def rig(request: pytest.FixtureRequest) -> Rig:
    """Also where the answer to COMMIT got lost and the unit of work is run again."""
    return Rig(runs=request.param)


def test_a_schedule_is_kept_and_due_after_now(rig: Rig) -> None:
    """By the database's time, once, under a lock, with who made it."""
    made = rig.add(payload={"rows": 3})

    assert rig.repository.kept == {made.id: made}
    assert (made.org_id, made.next_due_at, made.created_by) == (ORG, at(10), "ann")
    assert (made.missed, made.paused, made.payload) == ("coalesce", False, {"rows": 3})
    assert rig.repository.locked
    assert rig.payloads.checked == [{"rows": 3, "org_id": str(ORG)}]


def test_the_org_may_be_named_in_the_payload_and_no_other() -> None:
    """Nothing that is stored decides whose job it is."""
    rig = Rig()
    assert rig.add(payload={"org_id": str(ORG)}).payload == {}
    with pytest.raises(InvalidInput, match="not the schedule's org"):
        rig.add(name="other", payload={"org_id": str(uuid4())})


def test_a_payload_may_have_32_kilobytes_of_json() -> None:
    """To the byte."""
    payload = {"text": "x" * (MAX_PAYLOAD_BYTES - len('{"text": ""}'))}
    assert Rig().add(payload=payload).payload == payload


@pytest.mark.parametrize(
    ("over", "fault"),
    [
        ({"expression": "now and then"}, "cannot be read"),
        ({"payload": {"idempotency_key": "k"}}, "would run once"),
        ({"payload": {"text": "x" * (MAX_PAYLOAD_BYTES - len('{"text": ""}') + 1)}}, "is over 32768 bytes"),
        ({"payload": {"when": at(9)}}, "not plain JSON"),
        ({"payload": {"share": float("nan")}}, "not plain JSON"),
    ],
)
def test_what_could_not_run_is_not_kept(over: dict[str, object], fault: str) -> None:
    """The fault is told now, not at three in the morning."""
    rig = Rig()
    with pytest.raises(InvalidInput, match=fault):
        rig.add(**over)
    assert rig.repository.kept == {}


def test_a_payload_that_its_job_refuses_is_not_kept() -> None:
    """The job's contract has the word."""
    rig = Rig()
    rig.payloads.refuses = "report refuses this payload"
    with pytest.raises(InvalidInput, match="report refuses"):
        rig.add()
    assert rig.repository.kept == {}


@pytest.mark.parametrize("over", [{"name": " "}, {"name": "x" * 101}, {"missed": "catch_up"}, {"every": 1}])
def test_only_what_is_meant_can_be_asked_for(over: dict[str, object]) -> None:
    """Empty and long names, other policies and unknown fields are refused."""
    with pytest.raises(ValidationError):
        Rig().add(**over)


def test_a_name_is_taken_once_and_an_org_has_so_many() -> None:
    """Both are said with what to do."""
    rig = Rig()
    rig.add()
    with pytest.raises(InvalidInput, match="choose another name"):
        rig.add()
    rig.add(name="second")
    with pytest.raises(InvalidInput, match="has 2 schedules, as many as it may; remove one"):
        rig.add(name="third")


def test_pausing_keeps_it_and_resuming_starts_from_now(rig: Rig) -> None:
    """What would have been due meanwhile is not made up for, and why it was paused is forgotten."""
    schedule_id = rig.kept(next_due_at=at(5))

    assert rig.keep.pause(ORG, schedule_id).paused
    assert rig.repository.kept[schedule_id].paused
    resumed = rig.keep.resume(ORG, schedule_id)

    assert (resumed.paused, resumed.next_due_at) == (False, at(10))
    assert rig.repository.kept[schedule_id] == resumed


def test_resuming_what_is_not_paused_changes_nothing() -> None:
    """A tick that is due is not moved out of its way."""
    rig = Rig()
    schedule_id = rig.kept(next_due_at=at(9))
    assert rig.keep.resume(ORG, schedule_id).next_due_at == at(9)


def test_pausing_what_paused_itself_keeps_the_reason() -> None:
    """Nobody has read it yet."""
    rig = Rig()
    schedule_id = rig.kept(paused=True, error="why")
    assert rig.keep.pause(ORG, schedule_id).error == "why"


def test_one_that_cannot_run_is_not_resumed() -> None:
    """It would only pause itself again."""
    rig = Rig()
    schedule_id = rig.kept(paused=True, error="why")
    rig.payloads.refuses = "report refuses this payload"
    with pytest.raises(InvalidInput, match="report refuses"):
        rig.keep.resume(ORG, schedule_id)
    assert rig.repository.kept[schedule_id].error == "why"


def test_a_removed_one_is_gone(rig: Rig) -> None:
    """Once."""
    schedule_id = rig.kept()
    rig.keep.remove(ORG, schedule_id)
    assert rig.repository.kept == {}
    with pytest.raises(NotFound):
        rig.keep.remove(ORG, schedule_id)


@pytest.mark.parametrize("what", ["pause", "resume", "remove"])
def test_what_is_not_there_is_not_found(what: str) -> None:
    """In the same words as another org's."""
    schedule_id = uuid4()
    with pytest.raises(NotFound, match=f"schedule {schedule_id} not found"):
        getattr(Rig().keep, what)(ORG, schedule_id)
