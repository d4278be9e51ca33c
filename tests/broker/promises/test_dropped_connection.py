"""A connection dropped while a job's retry, or the next step of its pipeline, is being sent: nothing is lost."""

from typing import Any

import dramatiq
import pytest
from dramatiq.middleware import Middleware

from tests.broker.cutting_proxy import Proxy
from tests.broker.promises.scenario import Stage
from tests.broker.workers import run_all


class RestoreAfterHooks(Middleware):
    """Lets connections through again when every other after hook has run."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def after_process_message(self, broker: dramatiq.Broker, message: Any, **_: Any) -> None:
        self._proxy.restore()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dramatiq.worker.POST_PROCESS_MESSAGE_RETRY_DELAY_SECS", 0.05)
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.05)


def test_vanilla_loses_the_retry(vanilla: Stage, proxy: Proxy) -> None:
    """It acknowledges a message whose retry it could not send: the job is gone."""
    assert _runs_of_a_job_that_fails_once(vanilla, proxy) == 1


def test_ours_retries_once(ours: Stage, proxy: Proxy) -> None:
    """The retry goes with the end of the attempt, when the server is back: the job runs again, once."""
    assert _runs_of_a_job_that_fails_once(ours, proxy) == 2


def test_vanilla_forgets_the_next_step(vanilla: Stage, proxy: Proxy) -> None:
    """It acknowledges a step whose successor it could not send: the pipeline ends there."""
    assert _steps_of_a_pipeline(vanilla, proxy) == ["first"]


def test_ours_goes_on_with_the_next_step(ours: Stage, proxy: Proxy) -> None:
    """The next step goes with the end of the one before: it runs, once."""
    assert _steps_of_a_pipeline(ours, proxy) == ["first", "second 7"]


def _runs_of_a_job_that_fails_once(stage: Stage, proxy: Proxy) -> int:
    broker = stage.broker(url=proxy.url)
    broker.add_middleware(RestoreAfterHooks(proxy), before=type(broker.middleware[0]))
    runs: list[int] = []

    @dramatiq.actor(broker=broker, max_retries=3, min_backoff=1, max_backoff=10)
    def failing() -> None:
        runs.append(1)
        if len(runs) == 1:
            proxy.cut()
            raise ValueError

    failing.send()
    run_all(broker)

    return len(runs)


def _steps_of_a_pipeline(stage: Stage, proxy: Proxy) -> list[str]:
    broker = stage.broker(url=proxy.url)
    broker.add_middleware(RestoreAfterHooks(proxy), before=type(broker.middleware[0]))
    ran: list[str] = []

    @dramatiq.actor(broker=broker)
    def first() -> int:
        ran.append("first")
        proxy.cut()
        return 7

    @dramatiq.actor(broker=broker)
    def second(n: int) -> None:
        ran.append(f"second {n}")

    steps: list[dramatiq.Message[Any]] = [first.message(), second.message_with_options()]
    dramatiq.pipeline(steps, broker=broker).run()  # type: ignore[no-untyped-call]
    run_all(broker)

    return ran
