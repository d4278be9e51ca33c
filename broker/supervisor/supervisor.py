"""Keeps single-process workers running: starts, restarts, replaces and stops them, and lets none end the others."""

import logging
import math
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

from .child import Child, StartProcess, start_process
from .death_reports import Death
from .events import EmitEvent, emit_to_stdout, exit_facts, write_status
from .exit_codes import ExitCode
from .options import SupervisorOptions
from .slots import Backoff, QuarantineSlot, WorkerSlot
from .wakeups import Wakeups, reap_orphans

#: Called for each worker that did not end as asked: process id, worker id where it announced one, and exit code, or
#: the negative number of the signal that ended it.
OnDeath = Callable[[int, str | None, int], None]

#: Seconds between two checks of memory, and two writings of the status file.
_POLL_S = 1.0
#: Signals within so many seconds are one request; a later one means: at once.
_SAME_REQUEST_S = 2.0
#: What workers may take then, in seconds: guards may still say why they end.
_AT_ONCE_S = 1.0
#: Deaths that are not reported to the broker yet; of more, the oldest are left to its heartbeats.
_MAX_UNREPORTED = 1_000

logger = logging.getLogger(__name__)


class Supervisor:
    """A parent process whose children each run one Dramatiq worker.

    - A worker that ends by itself is started again, at once if it ran well, else after a wait that doubles. The
      others never notice.
    - One that has grown by `max_rss_mb`, or ran `max_jobs` jobs, is replaced: its successor boots first, then it
      drains. One at a time.
    - SIGHUP replaces all in that way, one by one, with the code as it is then.
    - SIGTERM or SIGINT drains all. What has not ended after `drain_s` and `grace_s` is killed. A second one, more
      than 2 seconds after the first, is handed on, and kills all a second later.
    - Workers whose supervisor was killed drain by themselves.
    - A broker that suspects messages of killing workers is given one more process that runs those alone, and gets
      reports of how each worker died (`death_reports.py`).

    Parameters:
        options: what to keep running.
        on_death: see OnDeath. What it raises is logged. Default None: the line on standard output is all.
        status_file: rewritten each second. Default None.
        emit: takes each event. Default: a line of JSON on standard output.
        monotonic: seconds that only go forward. Default `time.monotonic`.
        start: starts a worker process. Default: as a new program.

    Example:
        >>> sys.exit(Supervisor(SupervisorOptions(modules=("jobs",), processes=4)).run())
    """

    def __init__(
        self,
        options: SupervisorOptions,
        *,
        on_death: OnDeath | None = None,
        status_file: Path | None = None,
        emit: EmitEvent = emit_to_stdout,
        monotonic: Callable[[], float] = time.monotonic,
        start: StartProcess = start_process,
    ) -> None:
        self._options = options
        self._on_death = on_death
        self._status_file = status_file
        self._emit = emit
        self._now_s = monotonic
        self._start_process = start
        backoff = partial(Backoff, first_s=options.restart_delay_s, ran_well_s=options.ran_well_s)
        self._slots = [WorkerSlot(number, backoff()) for number in range(options.processes)]
        self._quarantine_slot = QuarantineSlot(backoff())
        self._unreported: dict[str, Death] = {}
        self._to_replace: deque[WorkerSlot] = deque()
        self._any_was_ready = False
        self._restarts = 0
        self._stopping_since_s: float | None = None
        self._exit_code = int(ExitCode.CLEAN)
        self._last_status: dict[str, object] = {}

    def run(self) -> int:
        """Run workers, on the main thread, until SIGTERM or SIGINT. The process is to end at once with the exit code.

        Returns:
            0 when all ended cleanly; 1 when one had to be killed or ended by a signal; else the code of the first
            worker that did not end cleanly, 79 for a stuck job. 2 when the modules cannot be loaded and no worker
            was ever ready.
        """
        wakeups = Wakeups()
        with wakeups.catching_signals():
            while True:
                now_s = self._now_s()
                for number in wakeups.requests():
                    self._handle_signal(number, now_s)
                self._listen(wakeups, now_s)
                if os.getpid() == 1:
                    reap_orphans({child.pid for child in self._children()})
                self._report_deaths()
                if self._stopping_since_s is None:
                    self._replace_next(now_s)
                    self._fill(wakeups, now_s)
                self._kill_overdue(now_s)
                self._report()
                if self._stopping_since_s is not None and not self._children():
                    break
                wakeups.wait(self._wait_s(now_s))
        self._emit("stopped", {"code": self._exit_code})
        return self._exit_code

    def _children(self) -> list[Child]:
        probe = [] if self._quarantine_slot.child is None else [self._quarantine_slot.child]
        return [*(child for slot in self._slots for child in slot.children()), *probe]

    def _handle_signal(self, number: int, now_s: float) -> None:
        if self._stopping_since_s is not None:
            if number != signal.SIGHUP and now_s - self._stopping_since_s > _SAME_REQUEST_S:
                for child in self._children():
                    child.insist(now_s + _AT_ONCE_S)
        elif number == signal.SIGHUP:
            self._emit("rolling", {})
            self._to_replace.extend(slot for slot in self._slots if slot not in self._to_replace)
            if self._quarantine_slot.child is not None:
                self._quarantine_slot.child.stop(self._kill_at_s(now_s))
        else:
            self._stop(signal.Signals(number).name, now_s)

    def _stop(self, why: str, now_s: float) -> None:
        self._emit("stopping", {"why": why})
        self._stopping_since_s = now_s
        for child in self._children():
            child.stop(self._kill_at_s(now_s))

    def _listen(self, wakeups: Wakeups, now_s: float) -> None:
        for child in self._children():
            # The code first: what was announced before the end is in the pipe by then.
            code, was_ready = child.code(), child.ready
            if not child.listen():
                wakeups.unwatch(child.pipe_fd)
            if child.ready and not was_ready:
                self._any_was_ready = True
                self._emit(f"{child.kind}_ready", child.facts())
            self._quarantine_slot.wanted = self._quarantine_slot.wanted or child.suspects
            child.suspects = False
            while child.reported:
                self._unreported.pop(child.reported.pop(), None)
            if code is not None:
                wakeups.unwatch(child.pipe_fd)
                child.close()
                self._child_ended(child, code, now_s)

    def _child_ended(self, child: Child, code: int, now_s: float) -> None:
        facts = {**child.facts(), **exit_facts(code), "ran_s": round(now_s - child.started_s, 3)}
        # Before it was ready it had leased nothing, so the signal itself may have ended it.
        as_requested = child.stop_requested and (code == 0 or (code == -signal.SIGTERM and not child.ready))
        slot = self._quarantine_slot if child.slot is None else self._slots[child.slot]
        wait_s = slot.remove(child, now_s)
        self._restarts += child.slot is not None and wait_s is not None
        if as_requested or child.idle:
            self._emit(f"{child.kind}_{'ended' if child.idle else 'stopped'}", facts)
            return
        if wait_s is not None:
            facts["restart_in_s"] = wait_s
        self._emit(f"{child.kind}_died", facts)
        self._note_death(child, code)
        self._call_on_death(child, code)
        if self._stopping_since_s is not None:
            self._exit_code = self._exit_code or (code if code > 0 else int(ExitCode.UNCLEAN))
        elif code == ExitCode.IMPORT and not self._any_was_ready:
            self._exit_code = code
            self._stop("the modules cannot be loaded, or not on that server", now_s)

    def _note_death(self, child: Child, code: int) -> None:
        if child.worker_id is not None:
            stopped = child.stop_requested or child.stopping
            self._unreported[child.worker_id] = Death(child.worker_id, code, stopped)
            if len(self._unreported) > _MAX_UNREPORTED:
                self._unreported.pop(next(iter(self._unreported)))

    def _report_deaths(self) -> None:
        for child in self._children():
            if child.ready:
                for death in self._unreported.values():
                    child.report(death)

    def _call_on_death(self, child: Child, code: int) -> None:
        if self._on_death is None:
            return
        try:
            self._on_death(child.pid, child.worker_id, code)
        except Exception:
            logger.exception("The death of worker process %d cannot be handed to on_death.", child.pid)

    def _replace_next(self, now_s: float) -> None:
        for slot in self._slots:
            predecessor = slot.take_over()
            if predecessor is not None:
                predecessor.stop(self._kill_at_s(now_s))
            why = self._recycle_reason(slot.serving)
            if slot.serving is not None and why and not slot.rolling and slot not in self._to_replace:
                self._emit("worker_worn", {**slot.serving.facts(), "why": why})
                self._to_replace.append(slot)
        while self._to_replace and not any(slot.rolling for slot in self._slots):
            slot = self._to_replace.popleft()
            # Where nobody serves, a new one is started anyway.
            slot.rolling = slot.serving is not None

    def _recycle_reason(self, child: Child | None) -> str | None:
        if child is None:
            return None
        if child.max_jobs_reached:
            return f"it ran {self._options.max_jobs} jobs"
        limit_mb = self._options.max_rss_mb
        if limit_mb is not None and (grown_mb := child.grown_mb()) > limit_mb:
            return f"it grew by {grown_mb:.0f} MB"
        return None

    def _fill(self, wakeups: Wakeups, now_s: float) -> None:
        for slot in self._slots:
            if slot.wants_child() and now_s >= slot.start_at_s:
                child = self._start(wakeups, slot.number, now_s)
                if child is None:
                    slot.start_at_s = now_s + slot.backoff.after(0.0)
                else:
                    slot.fill(child)
        if self._quarantine_slot.wants_child() and now_s >= self._quarantine_slot.start_at_s:
            self._quarantine_slot.child = self._start(wakeups, None, now_s)
            if self._quarantine_slot.child is None:
                self._quarantine_slot.start_at_s = now_s + _POLL_S

    def _start(self, wakeups: Wakeups, slot: int | None, now_s: float) -> Child | None:
        try:
            child = Child(self._options, slot, now_s, self._start_process)
        except OSError as error:
            self._emit("cannot_start", {"slot": slot, "why": error.strerror})
            return None
        wakeups.watch(child.pipe_fd)
        self._emit(f"{child.kind}_started", child.facts())
        return child

    def _kill_overdue(self, now_s: float) -> None:
        for child in self._children():
            late = now_s >= self._due_s(child)
            if late and not child.killed:
                self._emit(f"{child.kind}_killed", child.facts())
                child.kill()

    def _due_s(self, child: Child) -> float:
        """When it is killed unless it has done what it is to do by then."""
        if child.kill_at_s is not None:
            return child.kill_at_s
        return math.inf if child.ready else child.started_s + self._options.boot_timeout_s

    def _kill_at_s(self, now_s: float) -> float:
        return now_s + self._options.drain_s + self._options.grace_s

    def _wait_s(self, now_s: float) -> float:
        due_s = [self._due_s(child) for child in self._children() if not child.killed]
        if self._stopping_since_s is None:
            slots: list[WorkerSlot | QuarantineSlot] = [*self._slots, self._quarantine_slot]
            due_s += [slot.start_at_s for slot in slots if slot.wants_child()]
        return min([_POLL_S, *(each - now_s for each in due_s)])

    def _report(self) -> None:
        children = [child for slot in self._slots for child in slot.children()]
        working = [child for child in children if not child.stop_requested]
        running = self._stopping_since_s is None
        status: dict[str, object] = {
            "state": "running" if running else "stopping",
            "processes": self._options.processes,
            "ready": sum(child.ready for child in working),
            "starting": sum(not child.ready for child in working),
            "draining": len(children) - len(working),
            "waiting": sum(running and slot.serving is None for slot in self._slots),
            "to_replace": running * (len(self._to_replace) + sum(slot.rolling for slot in self._slots)),
            "restarts": self._restarts,
            "probing": self._quarantine_slot.child is not None,
        }
        if status != self._last_status:
            self._last_status = status
            self._emit("status", status)
        if self._status_file is not None:
            write_status(self._status_file, status)
