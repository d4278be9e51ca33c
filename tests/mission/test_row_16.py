"""Row 16: every limit, once."""

from .platform import Platform, Row

#: The original's constants, which keep their names and values, and every other limit.
LIMITS = {
    "PRESSROOM_BATCH_INSERT_SIZE": 100,
    "PRESSROOM_MAX_DOWNLOAD_SIZE": 10 * 1024 * 1024,
    "PRESSROOM_MAX_EXPORT_SIZE": 1024**3,
    "PRESSROOM_MAX_CSV_ROWS": 10_000,
    "PRESSROOM_MAX_CONCURRENT_PUBLISHES": 5,
    "PRESSROOM_JOB_TIMEOUT_MS": 300_000,
    "PRESSROOM_COLD_MEDIA_DAYS": 30,
    "PRESSROOM_ORPHAN_MEDIA_DAYS": 7,
    "PRESSROOM_WINDOWS": [7, 30, 90],
    "PRESSROOM_MAX_ENTITIES": 100,
    "PRESSROOM_MAX_ACTIVE_JOBS_PER_ORG": 10,
    "PRESSROOM_MAX_SCHEDULES_PER_ORG": 100,
    "PRESSROOM_EXPORT_EXPIRY_DAYS": 7,
    "PRESSROOM_DOWNLOAD_EXPIRY_DAYS": 1,
    "PRESSROOM_DEAD_LETTER_RETENTION_DAYS": 30,
    "PRESSROOM_ATTEMPT_RETENTION_DAYS": 30,
    "PRESSROOM_AUDIT_RETENTION_DAYS": 365,
}


def _by_name(rows: list[Row]) -> dict[str, Row]:
    return {each["variable"]: each for each in rows}


def test_every_limit_is_shown_and_the_environment_overrides_it(platform: Platform) -> None:
    """`settings` lists each limit with its default, whether it was set and what it is for; a variable changes it.

    A name that is no setting is refused with the name that was meant. No secret is shown.

    Seen red with the batch size of inserts (`domain/limits.py`) at 50.
    """
    shown = _by_name(platform.run("settings", "--json").json())
    secret = "a secret that nobody may see, ever"
    changed = {
        "PRESSROOM_MAX_CSV_ROWS": "500",
        "PRESSROOM_WINDOWS": "[1, 2]",
        "PRESSROOM_SECRET_KEYS": f'["{secret}"]',
    }
    overridden = platform.run_with(changed, "settings", "--json")
    misspelt = platform.run_with({"PRESSROOM_MAX_CVS_ROWS": "500"}, "settings")

    assert {name: shown[name]["value"] for name in LIMITS} == LIMITS
    assert [name for name in LIMITS if shown[name]["set"] or not shown[name]["meaning"]] == []
    rows = _by_name(overridden.json())
    for name, value in (("PRESSROOM_MAX_CSV_ROWS", 500), ("PRESSROOM_WINDOWS", [1, 2])):
        assert (rows[name]["value"], rows[name]["set"]) == (value, True)
    assert secret not in overridden.out
    assert misspelt.code == 1
    assert "did you mean PRESSROOM_MAX_CSV_ROWS?" in misspelt.err
