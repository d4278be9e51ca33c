"""What an export promises while two workers have it: one froze, lost its lease, and wakes up."""

from collections.abc import Callable
from datetime import datetime
from io import BytesIO
from typing import BinaryIO
from uuid import UUID

import pytest

from domain.domain_export import DomainExport
from domain.errors import Cancelled, LeaseLost, StorageUnavailable
from domain.export_ports import Delivery
from domain.export_records import Setting

from .export_fakes import World


class Interrupted(BaseException):
    """What a worker raises into a job's thread."""


def test_an_attempt_that_was_overtaken_delivers_nothing() -> None:
    """The file and the row stay those of the attempt that took it over."""
    world = World()
    _frozen_before_the_delivery(world, others=lambda: _with_more(world))

    with pytest.raises(LeaseLost):
        world.export()

    _assert_row_and_file_are_of_one_attempt(world)
    assert b"Bread 3" in world.shelf.files[world.job_id]


@pytest.mark.parametrize("is_there", [False, True], ids=["before its file appears", "after it"])
def test_an_attempt_that_is_overtaken_while_it_delivers_says_what_is_there(is_there: bool) -> None:
    """Its file may lie over the other's, so it writes once more, and the row with it."""
    world = World()
    _frozen_in_the_delivery(world, others=lambda: _with_more(world), is_there=is_there)

    outcome = world.export()

    _assert_row_and_file_are_of_one_attempt(world)
    assert outcome.size_bytes == world.database.sizes_bytes[world.job_id]


@pytest.mark.parametrize("end", [StorageUnavailable("disk full"), Cancelled("by an operator"), Interrupted()])
def test_what_ends_an_overtaken_attempt_takes_nothing_from_the_other(end: BaseException) -> None:
    """Neither the other's file is removed nor its row marked."""
    world = World()

    def fail() -> None:
        _with_more(world)
        raise end

    _frozen_before_the_delivery(world, others=fail)

    with pytest.raises(type(end)):
        world.export()

    _assert_row_and_file_are_of_one_attempt(world)
    assert world.database.reasons == {}


def test_an_attempt_that_is_overtaken_again_and_again_gives_up() -> None:
    """Two attempts that overtake each other do not go on for ever; the last one's row stays."""
    world = World()
    _frozen_in_the_delivery(world, others=lambda: _with_more(world), times=2)

    with pytest.raises(LeaseLost):
        world.export()

    assert world.database.exports == {world.job_id: "completed"}


def _with_more(world: World) -> None:
    """Another worker's whole attempt, after the domain got more content."""
    frozen = world.attempt
    world.add_row()
    world.export()
    world.attempt = frozen


def _frozen_before_the_delivery(world: World, *, others: Callable[[], None]) -> None:
    """Let the first attempt freeze at its last read, while others work."""
    read, waiting = world.database.settings, [others]

    def settings(domain_id: UUID) -> list[Setting]:
        while waiting:
            waiting.pop()()
        return read(domain_id)

    world.database.settings = settings  # type: ignore[method-assign]


def _frozen_in_the_delivery(
    world: World, *, others: Callable[[], None], is_there: bool = False, times: int = 1
) -> None:
    """Let an attempt freeze just before its file appears, or just after, while others work; so often."""
    deliver, waiting, within = world.shelf.deliver, [others] * times, [False]

    def slowly(export_id: UUID, job: DomainExport, source: BinaryIO, expires_at: datetime) -> Delivery:
        text = BytesIO(source.read())
        delivery = deliver(export_id, job, text, expires_at) if is_there else None
        if waiting and not within[0]:
            within[0] = True
            waiting.pop()()
            within[0] = False
        return delivery or deliver(export_id, job, text, expires_at)

    world.shelf.deliver = slowly  # type: ignore[method-assign]


def _assert_row_and_file_are_of_one_attempt(world: World) -> None:
    assert world.database.exports == {world.job_id: "completed"}
    assert world.database.sizes_bytes == {id_: len(text) for id_, text in world.shelf.files.items()}
