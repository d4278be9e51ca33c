"""Every limit is named once, can be overridden, and is shown."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.root import cli
from app.settings import variable
from domain.limits import Limits

#: The names the platform's specification gives its limits.
NAMES = {
    "BATCH_INSERT_SIZE",
    "COLD_MEDIA_DAYS",
    "JOB_TIMEOUT_MS",
    "MAX_ACTIVE_JOBS_PER_ORG",
    "MAX_CONCURRENT_PUBLISHES",
    "MAX_CSV_ROWS",
    "MAX_DOWNLOAD_SIZE",
    "MAX_ENTITIES",
    "MAX_EXPORT_SIZE",
    "ORPHAN_MEDIA_DAYS",
    "WINDOWS",
}


def test_settings_show_every_limit_with_its_value_and_meaning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names of the specification, those that were added since, and how long a worker waits for what."""
    monkeypatch.chdir(tmp_path)
    own = {variable(each) for each in ("drain_s", "stuck_grace_s", "frozen_after_s", "worker_threads")}

    shown = {
        row["variable"]: row for row in json.loads(CliRunner().invoke(cli, ["settings", "--json"]).output)
    }

    limits = {variable(field.name) for field in fields(Limits)}
    assert {f"PRESSROOM_{name}" for name in NAMES} <= limits
    assert shown.keys() >= limits | own
    assert [name for name, row in shown.items() if not row["meaning"]] == []
    assert [name for name in limits if shown[name]["value"] in (None, "")] == []
