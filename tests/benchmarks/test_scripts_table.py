"""What the benchmark of the longest scripts makes of what it measured."""

from benchmarks.scripts import as_markdown


def test_a_row_is_what_was_done_and_a_column_what_waited() -> None:
    """What was not measured is a dash."""
    table = as_markdown(
        {"a fetch": {"10 orgs": 1.25, "20 orgs": 2.0}, "lanes": {"10 orgs": 3.0}}, ["10 orgs", "20 orgs"]
    )

    assert table.splitlines() == [
        "| longest script, ms | 10 orgs | 20 orgs |",
        "|---|---|---|",
        "| a fetch | 1.2 | 2.0 |",
        "| lanes | 3.0 | — |",
    ]
