"""`python -m app worker`: looks at everything a worker needs, and only then becomes one."""

import os
from collections.abc import Sequence
from typing import NoReturn

from app.output import err
from app.run.children import worker_command
from app.run.doctor import Finding, examine
from app.settings import Settings, child_environment, load_settings


class UnknownQueue(Exception):
    """No actor works a queue of that name; the message says which there are."""


def worker(*, processes: int | None = None, threads: int | None = None, queues: Sequence[str] = ()) -> int:
    """Replace this process by the supervisor, so that signals and exit codes are its; returns only on a fault.

    Parameters:
        processes: worker processes. Default None: `PRESSROOM_WORKER_PROCESSES`.
        threads: jobs that each runs at once. Default None: `PRESSROOM_WORKER_THREADS`.
        queues: to work. Default: all.

    Returns:
        1 when something that a worker needs is broken: one line for each is on standard error, and nothing was
        started.

    Raises:
        SettingsError: the environment is no settings.
        UnknownQueue: no actor has a queue of this name.
    """
    settings = load_settings()
    chosen = {
        "worker_processes": processes or settings.worker_processes,
        "worker_threads": threads or settings.worker_threads,
    }
    settings = settings.model_copy(update=chosen)
    _check_queues(queues)
    faults = broken(settings)
    for fault in faults:
        text = f"Error: {fault.check}: {fault.seen}; {fault.fix}"
        # Whoever reads this greps it: a line a fault, however long.
        err.print(" ".join(text.split()), markup=False, highlight=False, soft_wrap=True)
    return 1 if faults else _become(worker_command(settings, queues=queues), chosen)


def broken(settings: Settings) -> list[Finding]:
    """What keeps a worker from doing its jobs, as the doctor sees it.

    Migrations are looked at as the worker's role: the owner's address is not a worker's to know.
    """
    own = settings.model_copy(update={"database_owner_url": settings.database_url})
    findings = [each for each in examine(own) if each.verdict == "broken" or _is_missing_key(each)]
    # Where the database itself does not answer, that its migrations cannot be read is no second fault.
    away = "database" in {each.check for each in findings}
    return [each for each in findings if not (away and each.check == "migrations")]


def _is_missing_key(finding: Finding) -> bool:
    # To a worker it is more than a warning: links cannot be signed and credentials cannot be read without.
    return finding.check == "secret keys" and finding.verdict != "ok"


def _check_queues(queues: Sequence[str]) -> None:
    if not queues:
        return
    import actors  # late: loading every job takes its time
    from app.broker import broker

    known = {getattr(actors, name).queue_name for name in actors.__all__} | broker.get_declared_queues()
    unknown = [queue for queue in queues if queue not in known]
    if unknown:
        raise UnknownQueue(f"no queue {', '.join(unknown)}; there are: {', '.join(sorted(known))}")


def _become(command: list[str], chosen: dict[str, int]) -> NoReturn:
    os.execve(command[0], command, child_environment(chosen))  # noqa: S606  # a list of ours, no shell
