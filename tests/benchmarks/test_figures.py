"""What the broker's benchmark makes of its samples."""

from benchmarks.figures import DASH, FIGURES, as_json, as_markdown, percentile
from benchmarks.measures import FULL, Samples
from benchmarks.systems import OURS, VANILLA

_VANILLA: Samples = {"noop_per_s": [4_000.0, 4_100.0, 9_000.0], "killed_quiet_s": []}
_OURS: Samples = {"noop_per_s": [20_500.0], "killed_quiet_s": [14.0], "bulk_per_s": [60_000.0]}


def _row(table: str, title: str) -> list[str]:
    (row,) = (row for row in table.splitlines() if row.startswith(f"| {title} |"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_a_percentile_is_a_value_that_was_measured() -> None:
    """The nearest rank, so that a single pause or job is its own p99."""
    assert percentile(99)([3.0]) == 3.0
    assert percentile(50)([4.0, 1.0, 3.0, 2.0]) == 2.0
    assert percentile(95)([float(each) for each in range(1, 101)]) == 95.0


def test_the_table_shows_medians_and_ratios() -> None:
    """One odd round moves neither, and a ratio is ours by theirs."""
    table = as_markdown({VANILLA: _VANILLA, OURS: _OURS}, FULL)

    assert _row(table, "drain no-op, jobs/s")[1:4] == ["4,100", "20,500", "5.00"]


def test_what_cannot_be_done_is_a_dash_and_not_a_zero() -> None:
    """Nor is there a ratio to it."""
    table = as_markdown({VANILLA: _VANILLA, OURS: _OURS}, FULL)

    assert _row(table, "enqueue in bulk, per s")[1:4] == [DASH, "60,000", DASH]


def test_what_did_not_happen_in_time_says_how_long_it_was_waited_for() -> None:
    """It could be done, so it is no dash, and nobody knows when, so it is no figure."""
    table = as_markdown({VANILLA: _VANILLA, OURS: _OURS}, FULL)

    assert _row(table, "after kill -9 without traffic, back after s")[1:4] == ["none in 120 s", "14.0", DASH]


def test_a_figure_that_nobody_was_measured_for_is_left_out() -> None:
    """A run of some measures makes a short table."""
    figures = as_json({VANILLA: _VANILLA, OURS: _OURS})

    assert list(figures) == [
        "enqueue in bulk, per s",
        "drain no-op, jobs/s",
        "after kill -9 without traffic, back after s",
    ]
    assert figures["enqueue in bulk, per s"] == {VANILLA: None, OURS: 60_000.0}


def test_without_ours_there_are_no_ratios() -> None:
    """The stock brokers can be measured alone."""
    header = as_markdown({VANILLA: _VANILLA}, FULL).splitlines()[0]

    assert "ours" not in header


def test_every_row_of_the_table_has_a_title_of_its_own() -> None:
    """The JSON is keyed by it."""
    titles = [figure.title for figure in FIGURES]

    assert len(set(titles)) == len(titles)
