"""A job that kills its process is given up after two deaths alone; neighbours and other processes are not to blame."""

import psutil

from tests.broker.promises.scenario import Stage
from tests.broker.promises.worker_command import WorkerProcess

JOBS = "tests.broker.promises.jobs"
#: Each package's own command, for two processes of two threads.
COMMANDS = {
    # It would wait half a minute for a process that dies before it has said that it is ready.
    "vanilla": ("dramatiq", JOBS, "--processes", "2", "--threads", "2", "--worker-fork-timeout", "1000"),
    "ours": ("broker", "worker", JOBS, "--processes", "2", "--threads", "2", "--restart-delay-s", "0.05"),
}
#: As many as need both processes, and leave a thread for the job.
NEIGHBOURS = ["a", "b", "c"]
#: More often than neighbours can begin.
PLENTY = 100
#: What a message is charged with at most: two deaths in company, and two alone.
DEATHS = 4


def test_vanilla_redelivers_it_for_ever(vanilla: Stage) -> None:
    """The first death ends the whole command, its other processes included; after that it kills each that comes."""
    command, _ = _neighbours_at_work(vanilla)
    vanilla.broker().enqueue(vanilla.message("deadly", "job"))
    pids = {vanilla.wait_for("dying")[1]}
    # Those that live wait for their running jobs.
    vanilla.let_on("all", PLENTY)
    command.await_end()
    for _ in range(DEATHS):
        vanilla.process(threads=2, heartbeat_timeout_ms=500).await_end()
        pids.add(vanilla.wait_for("dying")[1])

    assert len(pids) == DEATHS + 1
    assert vanilla.unfinished() >= 1


def test_ours_gives_it_up(ours: Stage) -> None:
    """It is a dead letter after its fourth death; its neighbours run to their ends, and no other process dies."""
    command, begun = _neighbours_at_work(ours)
    deadly = ours.broker().enqueue(ours.message("deadly", "job"))
    pids = {ours.wait_for("dying")[1] for _ in range(DEATHS - 2)}
    # A neighbour that ended in one of them a moment before would run again: nobody was told.
    ours.wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids))
    ours.let_on("all", PLENTY)
    pids |= {ours.wait_for("dying")[1] for _ in range(2)}
    ours.await_finished()

    assert len(pids) == DEATHS
    assert ours.heard("dying") == []
    assert ours.client.hkeys(f"{ours.namespace}:{{0}}:xm:default") == [deadly.message_id.encode()]
    ended = ours.heard("ended")
    assert sorted(name for name, _ in ended) == NEIGHBOURS
    # Where a neighbour began and did not end, the job's own death is why.
    assert {pid for name, pid in begun + ours.heard("began") if (name, pid) not in ended} <= pids
    assert not command.has_ended()


def _start(stage: Stage) -> WorkerProcess:
    # Ours learns of a death from the supervisor; the time-out must not take a slow process for a dead one.
    timeout_ms = {"vanilla": 500, "ours": 10_000}[stage.kind]
    return stage.process(*COMMANDS[stage.kind], threads=2, heartbeat_timeout_ms=timeout_ms)


def _neighbours_at_work(stage: Stage) -> tuple[WorkerProcess, list[tuple[str, int]]]:
    command = _start(stage)
    broker = stage.broker()
    for name in NEIGHBOURS:
        broker.enqueue(stage.message("gated", name))
    return command, [stage.wait_for("began") for _ in NEIGHBOURS]
