"""Message options are declared beside the code that writes them, with how long they live."""

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Middleware

from middleware import Guard
from middleware.base.options import Option, Scope, names_of, option_of


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ("caller", {"time_limit", "depends_on", "concurrency", "idempotent", "region", "traceparent"}),
        ("life", {"parked", "wake", "due_ms", "rate_paid_until", "progress_turn", "cron_tick", "expires_at"}),
        ("attempt", {"admitted", "retries", "eta", "traceback", "error", "held_since"}),
    ],
)
def test_each_guard_says_how_long_its_options_live(scope: Scope, names: set[str]) -> None:
    """And Dramatiq's own are known without anybody's help."""
    assert names <= names_of(scope)


def test_no_option_has_two_scopes() -> None:
    """What one guard keeps over a replay no other takes away."""
    scopes: list[Scope] = ["caller", "life", "attempt"]
    counts = [len(names_of(scope)) for scope in scopes]

    assert sum(counts) == len(names_of(*scopes))


def test_whoever_writes_an_option_declares_it() -> None:
    """A guard, a guard made of one, any other middleware, and a broker that does not know what an option is here."""

    class Curfew(Guard):
        message_options = (Option("woken_at", "life"),)

    class StrictCurfew(Curfew):
        message_options = (Option("woken_by", "life"),)

    class Stranger(Middleware):
        message_options = (Option("stranger_saw", "attempt"),)

    class Elsewhere(dramatiq.Broker):
        message_options = (("shelf", "life"),)

    assert {"woken_at", "woken_by", "shelf"} <= names_of("life")
    assert names_of("life", "attempt") - names_of("life") >= {"stranger_saw"}
    assert [
        Curfew,
        StrictCurfew,
        Stranger,
        Elsewhere,
    ]  # alive until here: classes that are gone declare nothing


def test_a_message_says_more_than_its_actor_and_its_actor_more_than_the_guard() -> None:
    """An option's value is looked for where it is closest; a message to an actor of another build is asked alone."""
    stub = StubBroker()

    @dramatiq.actor(broker=stub, max_retries=3)
    def tidy() -> None: ...

    said = tidy.message_with_options(max_retries=0)
    unknown = said.copy(actor_name="of_another_build")

    assert option_of(stub, said, "max_retries", 20) == 0
    assert option_of(stub, tidy.message(), "max_retries", 20) == 3
    assert option_of(stub, tidy.message(), "time_limit", 600_000) == 600_000
    assert option_of(stub, tidy.message(), "time_limit") is None
    assert option_of(stub, unknown, "max_retries", 20) == 0
    assert option_of(stub, tidy.message().copy(actor_name="of_another_build"), "max_retries", 20) == 20
