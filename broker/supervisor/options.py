"""What a supervisor keeps running."""

from dataclasses import dataclass

#: Seconds that running jobs may take to end when a worker stops.
DRAIN_S = 25.0
#: Seconds on top, in which jobs are interrupted, messages handed back and telemetry written.
GRACE_S = 10.0


@dataclass(frozen=True, kw_only=True)
class SupervisorOptions:
    """How a supervisor runs its workers.

    Parameters:
        modules: that declare the actors; the first may name a broker, `module:attribute`.
        processes: how many workers. Default 1.
        threads: jobs that each runs at once. Default 8.
        queues: to work. Default (): all.
        max_rss_mb: a worker that has grown by so much since it booted is replaced. Default None: never.
        max_jobs: one that has run so many jobs is replaced. Default None: never.
        drain_s: seconds that running jobs may take to end when a worker stops. Default 25.
        grace_s: seconds on top until it is killed. Default 10.
        restart_delay_s: before a worker that died fast is started again; doubles with each such death in a row.
            Default 1.
        ran_well_s: a worker that ran for so long did not die fast. Default 60.
        boot_timeout_s: one that is not ready by then is killed. Default 120.

    Raises:
        ValueError: a number is out of range.
    """

    modules: tuple[str, ...]
    processes: int = 1
    threads: int = 8
    queues: tuple[str, ...] = ()
    max_rss_mb: float | None = None
    max_jobs: int | None = None
    drain_s: float = DRAIN_S
    grace_s: float = GRACE_S
    restart_delay_s: float = 1.0
    ran_well_s: float = 60.0
    boot_timeout_s: float = 120.0

    def __post_init__(self) -> None:
        for name in ("processes", "threads", "max_rss_mb", "max_jobs", "restart_delay_s", "boot_timeout_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be more than 0, not {value}")
        if self.drain_s < 0 or self.grace_s < 0:
            raise ValueError(f"drain_s and grace_s must be at least 0, not {self.drain_s} and {self.grace_s}")
        if not self.modules:
            raise ValueError("name at least one module that declares actors")

    def worker_arguments(self, *, probe: bool = False) -> list[str]:
        """The command line of each worker process, or of the one that runs suspects alone."""
        options = {
            "--threads": 1 if probe else self.threads,
            "--drain-s": self.drain_s,
            "--grace-s": self.grace_s,
        }
        if self.max_jobs is not None and not probe:
            options["--max-jobs"] = self.max_jobs
        named = [word for name, value in options.items() for word in (name, str(value))]
        named += ["--probe"] if probe else []
        return [*named, *(["--queues", *self.queues] if self.queues else []), "--", *self.modules]
