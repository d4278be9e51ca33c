"""The table of `benchmarks.broker`: figures made of samples, and what one system's are of another's."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.measures import Samples, Sizes
from benchmarks.systems import OURS, SYSTEMS, VANILLA, VANILLA_PREFETCH

#: For what a system cannot do.
DASH = "—"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A line of the table."""

    title: str
    key: str
    of: Callable[[Sequence[float]], float] = statistics.median
    digits: int = 0
    #: What we mean to reach.
    goal: str = ""

    def value(self, samples: Samples) -> float | None:
        """None when there is none: it cannot be done, or did not happen in time."""
        return self.of(samples[self.key]) if samples.get(self.key) else None

    def shown(self, samples: Samples, never: str) -> str:
        """The value for people; `never` when it did not happen in time."""
        value = self.value(samples)
        if value is not None:
            return f"{value:,.{self.digits}f}"
        return never if self.key in samples else DASH


def percentile(percent: float) -> Callable[[Sequence[float]], float]:
    """The nearest-rank percentile of samples."""

    def of(samples: Sequence[float]) -> float:
        return sorted(samples)[max(0, math.ceil(percent / 100 * len(samples)) - 1)]

    return of


def _cost(title: str, key: str, goal: str = "", script_goal: str = "") -> tuple[Figure, ...]:
    return (
        Figure(title=f"{title}, jobs/s", key=f"{key}_per_s", goal=goal),
        Figure(title=f"{title}: worker CPU ms per 1,000", key=f"{key}_cpu_ms"),
        Figure(title=f"{title}: requests a job", key=f"{key}_requests", digits=2),
        Figure(title=f"{title}: script calls a job", key=f"{key}_scripts", digits=2, goal=script_goal),
    )


FIGURES = (
    Figure(title="enqueue one at a time, per s", key="enqueue_per_s", goal="1.1x"),
    Figure(title="enqueue in bulk, per s", key="bulk_per_s", goal="50,000"),
    *_cost("drain no-op", "noop", goal="4x, 2x prefetch 64"),
    Figure(title="drain no-op: commands a job, inside scripts too", key="noop_commands", digits=2),
    Figure(title="drain no-op: bytes a job, in and out", key="noop_bytes"),
    Figure(title="worker memory after it, PSS MB", key="noop_memory_mb"),
    Figure(title="drain 2 ms jobs, jobs/s", key="two_ms_per_s"),
    Figure(title="drain 2 ms jobs: worker CPU ms per 1,000", key="two_ms_cpu_ms"),
    *_cost("every guard on, no-op", "guarded", goal="2x, 1.1x prefetch 64", script_goal="0.3"),
    *_cost("every guard on, with keys", "keyed", goal="2x, 1.1x prefetch 64", script_goal="1.3"),
    Figure(title="enqueue one, every guard on, per s", key="checked_enqueue_per_s", goal="1x"),
    Figure(title="enqueue in bulk, every guard on, per s", key="checked_bulk_per_s", goal="30,000"),
    Figure(title="pick-up hot, p50 ms", key="hot_ms", digits=1),
    Figure(title="pick-up hot, p99 ms", key="hot_ms", of=percentile(99), digits=1, goal="2"),
    Figure(title="pick-up after a pause, p50 ms", key="pause_ms", digits=1),
    Figure(title="pick-up after a pause, p99 ms", key="pause_ms", of=percentile(99), digits=1, goal="5"),
    Figure(title="idle, % of a core", key="idle_cpu_percent", digits=2, goal="0.5"),
    Figure(title="idle, requests/s a queue", key="idle_requests_per_s", digits=1),
    Figure(
        title="idle, commands/s a queue, inside scripts too", key="idle_commands_per_s", digits=1, goal="2"
    ),
    Figure(title="quiet org alone, p95 ms", key="quiet_ms", of=percentile(95), digits=1),
    Figure(title="quiet org behind the flood, p50 ms", key="flood_ms", digits=1),
    Figure(
        title="quiet org behind the flood, p95 ms",
        key="flood_ms",
        of=percentile(95),
        digits=1,
        goal="2x alone",
    ),
    Figure(title="quiet org behind the flood, max ms", key="flood_ms", of=max, digits=1),
    Figure(title="dispatches before it, p50", key="flood_dispatches"),
    Figure(title="dispatches before it, p95", key="flood_dispatches", of=percentile(95)),
    Figure(title="dispatches before it, max", key="flood_dispatches", of=max),
    Figure(title="timers behind far-future messages that fired", key="timers_fired"),
    Figure(title="their lateness, p50 ms", key="timer_late_ms", digits=1),
    Figure(title="their lateness, max ms", key="timer_late_ms", of=max, digits=1, goal="100"),
    Figure(title="worker memory for them, PSS MB grown", key="delayed_memory_mb", digits=1),
    Figure(title="after kill -9 with traffic, back after s", key="killed_traffic_s", digits=1, goal="15"),
    Figure(title="after kill -9 without traffic, back after s", key="killed_quiet_s", digits=1, goal="15"),
)

#: Bases that our figures are divided by, with the column's title.
_BASES = {VANILLA: "ours / Dramatiq", VANILLA_PREFETCH: "ours / prefetch 64"}


def as_json(systems: Mapping[str, Samples]) -> dict[str, dict[str, float | None]]:
    """Every figure by its title and system; null for what cannot be, or did not happen in time."""
    return {
        figure.title: {system: figure.value(samples) for system, samples in systems.items()}
        for figure in _measured(systems)
    }


def as_markdown(systems: Mapping[str, Samples], sizes: Sizes) -> str:
    """The table, a line a figure."""
    bases = {base: title for base, title in _BASES.items() if base in systems and OURS in systems}
    titles = [SYSTEMS[system].title for system in systems]
    lines = [
        f"| {' | '.join(['', *titles, *bases.values(), 'goal'])} |",
        f"|{'---|' * (len(titles) + len(bases) + 2)}",
    ]
    for figure in _measured(systems):
        never = _never(figure, sizes)
        cells = [figure.shown(samples, never) for samples in systems.values()]
        ratios = [_ratio(figure, systems[OURS], systems[base]) for base in bases]
        lines.append(f"| {' | '.join([figure.title, *cells, *ratios, figure.goal])} |")
    return "\n".join(lines) + "\n"


def _measured(systems: Mapping[str, Samples]) -> list[Figure]:
    return [figure for figure in FIGURES if any(figure.key in samples for samples in systems.values())]


def _ratio(figure: Figure, ours: Samples, theirs: Samples) -> str:
    value, base = figure.value(ours), figure.value(theirs)
    return f"{value / base:.2f}" if value is not None and base else DASH


def _never(figure: Figure, sizes: Sizes) -> str:
    patience_s = sizes.kill_patience_s if figure.key.startswith("killed") else sizes.timer_patience_s
    return f"none in {patience_s:.0f} s"
