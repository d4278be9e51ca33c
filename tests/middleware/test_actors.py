"""`pressroom.actor`: Dramatiq's decorator, with types that know the guards' options and payloads."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import get_type_hints

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import default_middleware
from dramatiq.results import Results
from pydantic import BaseModel

import middleware
from middleware import ActorOptions, Contracts, Guard, InvalidPayload, MessageOptions, OrgLimits, actor
from middleware.memory import MemoryOrgLimitsStore

ROOT = Path(__file__).resolve().parent.parent.parent


class Resize(BaseModel):
    """The payload of the tests."""

    image_id: int


def test_it_makes_dramatiqs_own_actor() -> None:
    """With a name, a queue, a priority and options, or bare."""
    broker = StubBroker(middleware=[Contracts(), OrgLimits(MemoryOrgLimitsStore())])

    @actor(broker=broker, queue_name="images", priority=3, actor_name="resize_image", concurrency=("disk", 2))
    def resize(job: Resize) -> None: ...

    assert type(resize) is dramatiq.Actor
    assert (resize.actor_name, resize.queue_name, resize.priority) == ("resize_image", "images", 3)
    assert resize.options == {"concurrency": ("disk", 2)}
    assert broker.get_actor("resize_image") is resize


def test_bare_it_takes_the_global_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `@dramatiq.actor` does."""
    broker = StubBroker(middleware=[])
    monkeypatch.setattr("dramatiq.broker.global_broker", broker)

    @actor
    def add(one: int, two: int) -> int:
        return one + two

    assert type(add) is dramatiq.Actor
    assert (add(1, 2), broker.get_actor("add")) == (3, add)


def test_a_mapping_is_sent_like_its_model() -> None:
    """And refused like it."""
    broker = StubBroker(middleware=[Contracts()])

    @actor(broker=broker)
    def resize(job: Resize) -> None: ...

    assert resize.send({"image_id": 7}).args == resize.send(Resize(image_id=7)).args
    with pytest.raises(InvalidPayload):
        resize.send({"image_id": "seven"})


def test_every_option_of_every_middleware_has_a_type() -> None:
    """Guards', Dramatiq's own and its results'; and no type is for an option that nobody reads."""
    offered = [getattr(middleware, name) for name in middleware.__all__]
    guards = [each for each in offered if isinstance(each, type) and issubclass(each, dramatiq.Middleware)]
    theirs = [dramatiq.middleware.Pipelines, *default_middleware]
    known: set[str] = set()
    for kind in {*guards, *theirs, Results}:
        known |= object.__new__(kind).actor_options

    assert Guard in guards
    assert set(get_type_hints(ActorOptions)) == known


def test_what_a_message_may_say_is_what_its_actor_may_and_what_is_its_own() -> None:
    """What is code cannot be in a message, which is JSON."""
    code = {"rate", "periodic", "upcasters", "throws", "retry_when"}

    own = {"org", "region", "priority", "expires_at"}
    assert set(get_type_hints(MessageOptions)) == set(get_type_hints(ActorOptions)) - code | own


@pytest.mark.slow
def test_what_is_misspelt_or_misplaced_is_a_type_error(tmp_path: Path) -> None:
    """mypy says so in each line that a comment names, and in no other."""
    program, checked = textwrap.dedent(CHECKED), tmp_path / "checked_jobs.py"
    checked.write_text(program)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", str(checked)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    errors = re.findall(r"checked_jobs\.py:(\d+): error: .*\[([\w-]+)\]", done.stdout)
    said = [(int(row), code) for row, code in errors if code != "untyped-decorator"]  # follows from the other
    marked = [
        (number, re.search(r"# error: ([\w-]+)", row)) for number, row in enumerate(program.split("\n"), 1)
    ]
    assert said == [(number, found[1]) for number, found in marked if found], done.stdout
    revealed = re.findall(r'Revealed type is "(.*)"', done.stdout)
    assert [re.sub(r"[\w]+\.(?=\w)", "", each) for each in revealed] == [
        "Message[int]",
        "Message[str]",
        "Message[bytes]",
    ]


CHECKED = """
    from pydantic import BaseModel

    from middleware import Rate, actor, cron


    class Resize(BaseModel):
        image_id: int


    class Other(BaseModel):
        name: str


    @actor(queue_name="images", rate=Rate(20, per="1s"), max_retries=3, depends_on=["ai"], time_limit=60_000)
    def resize(job: Resize) -> int:
        return job.image_id


    @actor
    def bare(job: Resize) -> None: ...


    @actor(periodic=cron("* * * * *"), idempotent=True)
    async def later(job: Resize) -> str:
        return ""


    @actor
    def plain(number: int, text: str = "") -> bytes:
        return b""


    reveal_type(resize.send(Resize(image_id=7)))
    resize.send({"image_id": 7})
    resize.send(Other(name="a"))  # error: arg-type
    resize.send(7)  # error: arg-type
    resize.send()  # error: call-arg
    resize.send(Resize(image_id=7), 8)  # error: call-arg
    bare.send({"image_id": 7})
    reveal_type(later.send({"image_id": 7}))

    reveal_type(plain.send(7, text="a"))
    plain.send("seven")  # error: arg-type
    plain.send({"number": 7})  # error: arg-type

    resize.send_with_options(args=({"image_id": 7},), org="acme", delay=5_000, concurrency=("site", 2))
    resize.send_with_options(args=(Resize(image_id=7),), max_retries=0, expires_at=1.0)
    resize.send_with_options(args=(Other(name="a"),))  # error: arg-type
    resize.send_with_options(args=({"image_id": 7},), ogr="acme")  # error: call-arg
    resize.message_with_options(args=({"image_id": 7},), regoin="eu")  # error: call-arg
    plain.send_with_options(args=(7,), on_failure=bare, time_limit=1_000)
    plain.send_with_options(args=(7,), time_limt=1_000)  # error: call-arg
    number: int = resize(Resize(image_id=7))
    pipe = resize.message({"image_id": 7}) | plain.message(7)


    @actor(rat=Rate(20, per="1s"))  # error: call-overload
    def misspelt(job: Resize) -> None: ...


    @actor(depend_on="ai")  # error: call-overload
    def misspelt_too(job: Resize) -> None: ...


    @actor(rate=20)  # error: call-overload
    def wrong_type(job: Resize) -> None: ...
"""
