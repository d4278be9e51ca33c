"""What a supervisor of workers reports, in words for people."""

import json
from collections.abc import Callable
from typing import Any

from broker.supervisor.exit_codes import ExitCode

#: What a worker's exit code means.
_CODES: dict[int, str] = {
    ExitCode.CLEAN: "ended by itself",
    ExitCode.UNCLEAN: "did not end cleanly",
    ExitCode.IMPORT: "could not load the jobs",
    ExitCode.CONNECT: "could not reach Redis",
    ExitCode.STUCK: "held a job that could not be stopped, and ended",
}


def in_words(text: str) -> str | None:
    """A line of a supervisor's standard output; None where it tells people nothing, as it is where it is no report.

    Example:
        >>> in_words('{"event": "worker_ready", "slot": 0, "pid": 71}')
        'Worker 71 takes jobs.'
    """
    try:
        event = json.loads(text)
    except ValueError:
        return text
    if not isinstance(event, dict) or "event" not in event:
        return text
    say = _SENTENCES.get(str(event["event"]))
    return None if say is None else say(event)


def _died(event: dict[str, Any]) -> str:
    code = event.get("code")
    how = (
        _CODES.get(code, f"ended with code {code}")
        if code is not None
        else f"was ended by {event.get('signal')}"
    )
    wait_s = event.get("restart_in_s")
    if wait_s is None:
        return f"Worker {event.get('pid')} {how}."
    when = f"in {wait_s:g} s" if wait_s else "at once"
    return f"Worker {event.get('pid')} {how}; another one starts {when}."


_SENTENCES: dict[str, Callable[[dict[str, Any]], str]] = {
    "worker_ready": lambda event: f"Worker {event.get('pid')} takes jobs.",
    "worker_died": _died,
    "worker_worn": lambda event: f"Worker {event.get('pid')} is replaced: {event.get('why')}.",
    "worker_stopped": lambda event: f"Worker {event.get('pid')} has stopped.",
    "worker_killed": lambda event: f"Worker {event.get('pid')} did not do so in time and is killed.",
    "rolling": lambda _: "All workers are replaced, one by one.",
    "cannot_start": lambda event: f"No worker can be started: {event.get('why')}.",
    "probe_started": lambda event: f"Worker {event.get('pid')} runs suspects alone: jobs whose workers died.",
    "probe_died": _died,
}
