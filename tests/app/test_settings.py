"""Settings: one frozen model, the only reader of the environment."""

import ast
import json
from dataclasses import asdict
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings, SettingsError, as_environment, load_settings, masked, variable
from domain.limits import Limits

SOURCES = Path(__file__).resolve().parents[2]
SECRET = "correct-horse-battery"


@pytest.fixture(autouse=True)
def _empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults_need_no_environment() -> None:
    """A fresh clone has settings for everything."""
    settings = load_settings()

    assert settings.limits == Limits()
    assert settings.database_url is None


def test_every_limit_can_be_set_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seed's names with the prefix set the domain's limits, each of them."""
    for name in Limits.__dataclass_fields__:
        monkeypatch.setenv(variable(name), "[1, 2]" if name == "windows" else "3")

    assert asdict(load_settings().limits) == {
        name: (1, 2) if name == "windows" else 3 for name in Limits.__dataclass_fields__
    }


def test_an_unknown_name_is_refused_with_the_one_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typo in a variable's name is found at the start, not in production."""
    monkeypatch.setenv("PRESSROOM_MAX_CSV_ROW", "5")

    with pytest.raises(
        SettingsError, match="PRESSROOM_MAX_CSV_ROW is not a setting; did you mean PRESSROOM_MAX_CSV_ROWS"
    ):
        load_settings()


def test_an_unknown_name_like_no_other_points_to_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is nothing to suggest, the error says where the names are."""
    monkeypatch.setenv("PRESSROOM_QQQ", "5")

    with pytest.raises(SettingsError, match="python -m app settings"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("PRESSROOM_MAX_CSV_ROWS", "many", "valid integer"),
        ("PRESSROOM_MAX_CSV_ROWS", "0", "greater than 0"),
        ("PRESSROOM_HTTP_PORT", "99999", "less than or equal to 65535"),
        ("PRESSROOM_WINDOWS", "7,30", "JSON"),
        ("PRESSROOM_WINDOWS", "[]", "at least 1 item"),
        ("PRESSROOM_WINDOWS", "[7, 0]", "greater than or equal to 1"),
        ("PRESSROOM_WINDOWS", "[3651]", "less than or equal to 3650"),
        ("PRESSROOM_MAX_ENTITIES", "101", "less than or equal to 100"),
        ("PRESSROOM_FEEDBACK_SOURCE_URL", f"ftp://me:{SECRET}@host", "must begin with http://"),
        ("DATABASE_URL", f"mysql://me:{SECRET}@host/db", "must begin with postgresql://"),
        ("REDIS_URL", f"http://me:{SECRET}@host", "must begin with redis://"),
        ("REDIS_URL", f"redis+sentinel://me:{SECRET}@host:26379", "redis+sentinel://host:port"),
        ("PRESSROOM_AI_PROVIDERS", json.dumps([{"name": "a", "base_url": "b", "api_key": SECRET}]), "model"),
        ("PRESSROOM_AI_PROVIDERS", f"[{SECRET}", "JSON"),
    ],
)
def test_a_bad_value_names_its_variable_and_never_the_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    """The error can be logged as it is."""
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as caught:
        load_settings()

    assert name in str(caught.value) or name.removeprefix("PRESSROOM_").lower() in str(caught.value)
    assert reason in str(caught.value)
    assert SECRET not in str(caught.value)


def test_secrets_are_in_no_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Printing or dumping the settings gives nothing away."""
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:{SECRET}@host/db")
    monkeypatch.setenv("PRESSROOM_SECRET_KEYS", json.dumps([SECRET]))
    monkeypatch.setenv("PRESSROOM_S3_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv(
        "PRESSROOM_AI_PROVIDERS",
        json.dumps([{"name": "a", "base_url": "b", "model": "m", "api_key": SECRET}]),
    )

    settings = load_settings()

    assert SECRET not in repr(settings) + str(settings) + settings.model_dump_json()


def test_settings_cannot_be_changed() -> None:
    """What was validated stays as it is."""
    with pytest.raises(ValidationError):
        load_settings().max_csv_rows = 1  # type: ignore[misc]


def test_a_running_up_is_found_and_the_environment_goes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that `up` writes fills what the environment leaves open, no more."""
    monkeypatch.setenv("PRESSROOM_HOME", str(tmp_path))
    monkeypatch.setenv("REDIS_URL", "redis://mine")
    (tmp_path / "run.json").write_text(
        json.dumps(
            {"database_url": "postgresql://theirs", "redis_url": "redis://theirs", "secret_keys": ["k"]}
        )
    )

    found = load_settings()
    own = load_settings(run_file=False)

    assert found.database_url is not None
    assert found.database_url.get_secret_value() == "postgresql://theirs"
    assert found.redis_url is not None
    assert found.redis_url.get_secret_value() == "redis://mine"
    assert own.database_url is None
    assert own.secret_keys == ()


def test_a_damaged_file_of_up_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-written file is an error with its fix, not a traceback."""
    monkeypatch.setenv("PRESSROOM_HOME", str(tmp_path))
    (tmp_path / "run.json").write_text("{")

    with pytest.raises(SettingsError, match="remove it and start `up` again"):
        load_settings()


def test_settings_pass_to_a_child_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `as_environment` writes, `load_settings` reads."""
    values = {"redis_url": "unix:///tmp/x", "secret_keys": ["a", "b"], "windows": [1], "http_port": 5}
    for name, value in as_environment(values).items():
        monkeypatch.setenv(name, value)

    settings = load_settings()

    assert [key.get_secret_value() for key in settings.secret_keys] == ["a", "b"]
    assert (settings.windows, settings.http_port) == ((1,), 5)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("redis://:secret@host/0", "redis://:***@host/0"),
        ("unix:///run/valkey.sock?db=0", "unix:///run/valkey.sock?db=0"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        (
            "redis+sentinel://me:secret@one:1,two:2/main?sentinel_password=secret&db=1",
            "redis+sentinel://me:***@one:1,two:2/main?sentinel_password=***&db=1",
        ),
    ],
)
def test_a_masked_url_keeps_all_but_the_password(url: str, shown: str) -> None:
    """An operator still sees where it leads."""
    assert masked(url) == shown


def test_every_setting_says_what_it_is_for() -> None:
    """`python -m app settings` explains each of them."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_nothing_else_reads_the_environment() -> None:
    """Every other module gets what it needs handed in."""
    readers = []
    for folder in ("actors", "adapters", "app", "domain", "middleware", "migrations"):
        for path in (SOURCES / folder).rglob("*.py"):
            names = {
                node.attr
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"}
            }
            if names:
                readers.append(path.relative_to(SOURCES).as_posix())

    # prometheus_client itself is told by PROMETHEUS_MULTIPROC_DIR, and nothing else, that processes share.
    # The probe runs every few seconds and has no time for settings; tests/app/run/test_worker.py holds it to them.
    assert sorted(readers) == ["app/run/probe.py", "app/settings.py", "middleware/metrics/prometheus.py"]
