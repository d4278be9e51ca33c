"""Every setting of the platform: one frozen model, and the only reader of the environment.

Values come from the environment, else from `run.json`, which a running `python -m app up` keeps in its home
folder so that a plain shell finds its servers, else from the defaults below.
"""

import difflib
import ipaddress
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableSetting
from pydantic_settings.sources import JsonConfigSettingsSource

from domain.limits import Limits

PREFIX = "PRESSROOM_"
#: No setting: stands for the option `--reason` of commands.
REASON_VARIABLE = "PRESSROOM_REASON"
#: Settings whose names every tool agrees on; they carry no prefix.
UNPREFIXED = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL")
#: The file in which `up` tells other processes where its servers are.
RUN_FILE = "run.json"

_DEFAULTS = Limits()

_REDIS_URL = re.compile(r"(rediss?|unix)://|rediss?\+sentinel://[^/]+/[^/?]+")


class SettingsError(Exception):
    """The environment cannot be used; the message names each variable and the fix."""

    #: The supervisor's workers print the message and no traceback.
    usage_error: ClassVar[bool] = True


class AiProvider(BaseModel):
    """An OpenAI-compatible provider of content ideas."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str
    base_url: str = Field(description="up to and without /chat/completions; a query like ?api-version= stays")
    model: str
    api_key: SecretStr | None = None
    key_header: Literal["authorization", "api-key"] | None = Field(
        default=None, description="how the key is sent; by default as is usual at the address"
    )
    timeout_s: PositiveFloat = 60.0


class Settings(BaseSettings):
    """The platform's settings. Use `load_settings`, which also refuses names that nobody reads."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    database_url: Annotated[SecretStr | None, Field(validation_alias=AliasChoices("DATABASE_URL"))] = None
    """PostgreSQL as the worker role. Default: the embedded server."""
    database_owner_url: Annotated[
        SecretStr | None, Field(validation_alias=AliasChoices("DATABASE_OWNER_URL"))
    ] = None
    """PostgreSQL as the role that owns the tables, for migrations only."""
    redis_url: Annotated[SecretStr | None, Field(validation_alias=AliasChoices("REDIS_URL"))] = None
    """Redis or Valkey: redis://, rediss://, unix://, or redis+sentinel://host:port,host:port/service. Default: the
    embedded server."""
    redis_server: Path | None = None
    """Program of the embedded server. Default: Valkey, which is installed along."""

    home: Path = Path(".pressroom")
    """Data, logs and sockets of the embedded servers; the default place of objects and exports."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """What workers log."""
    log_format: Literal["json", "console"] = "json"
    """How: a JSON object a line, for machines, or a line for people."""
    worker_processes: PositiveInt = 1
    """Worker processes that `up` starts."""
    worker_threads: PositiveInt = 8
    """Jobs one worker process runs at once."""
    worker_max_rss_mb: PositiveFloat | None = None
    """Megabytes by which a worker process may grow before another takes its place. Default: any."""
    worker_max_jobs: PositiveInt | None = None
    """Jobs after which another takes its place. Default: any number."""

    drain_s: PositiveFloat = 25.0
    """Seconds that running jobs may take to end when a worker stops; keep it below its supervisor's patience."""
    stuck_grace_s: PositiveFloat = 10.0
    """Seconds from a job's time limit to its process being replaced, when it does not react."""
    frozen_after_s: PositiveFloat = 60.0
    """Seconds after which a process ends in which a job holds the interpreter's lock."""
    ready_dir: Path | None = None
    """Where each worker process keeps its heartbeat, a file named after its id. Default: `ready` in the home."""

    slot_lease_s: PositiveFloat = 60.0
    """How long the place of a killed worker's job among its org's running ones stays taken."""

    region: str | None = None
    """The region whose queues workers serve. Default: the one region there is."""

    secret_keys: tuple[SecretStr, ...] = ()
    """Keys that sign download links and encrypt credentials, the newest first; older ones still verify and decrypt."""
    public_url: str | None = None
    """Where people reach `python -m app web`; download links begin with it. Default: where `up` listens."""
    http_host: str = "127.0.0.1"
    """Address `web` listens on."""
    http_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port `web` listens on; 0 takes a free one."""

    export_base_dir: Path | None = None
    """Exports to a path stay below this folder, each org in its own. Default: `exports` in the home."""
    object_store_url: str | None = None
    """`file:///folder` or `s3://bucket/prefix` for downloads. Default: `objects` in the home."""
    media_store_url: str | None = None
    """Likewise, for media that is in use. Default: `media` in the home."""
    cold_store_url: str | None = None
    """Likewise, for media that nobody looks at; neither may lie in the other. Default: `cold` in the home."""
    s3_endpoint_url: str | None = None
    """Endpoint of an S3-compatible store. Default: AWS."""
    s3_region: str = "us-east-1"
    """Region that requests to it are signed for."""
    s3_access_key_id: str | None = None
    """Its key id."""
    s3_secret_access_key: SecretStr | None = None
    """Its secret."""
    s3_export_targets: tuple[str, ...] = ()
    """`bucket` or `bucket/prefix/` that exports may go to; `{org_id}` stands for the org."""

    csv_byte_order_mark: bool = False
    """Whether CSV exports begin with a byte order mark, by which Excel knows UTF-8."""

    publish_allow_http: bool = False
    """Whether posts and credentials may go over plain http."""
    publish_allowed_networks: tuple[str, ...] = ()
    """Networks like 10.1.0.0/16 that publish targets may be in although they are not public."""
    publish_lease_s: Annotated[float, Field(ge=1, le=3600)] = 60.0
    """Seconds after which another worker takes over a publish whose worker shows no sign of life."""

    ai_providers: tuple[AiProvider, ...] = ()
    """Providers in the order they are tried, as a JSON list."""
    ai_template_fallback: bool = True
    """Whether the offline template generator serves when no provider does."""

    ai_tokens_per_org_and_day: NonNegativeInt = 0
    """Tokens that one org's jobs may spend with them on one day, in UTC. Default: any number."""

    feedback_source_url: str | None = None
    """Where `feedback_ingest` asks for events when its source is `sync`; up to and without /events."""
    feedback_source_token: SecretStr | None = None
    """Bearer token for it."""

    batch_insert_size: PositiveInt = _DEFAULTS.batch_insert_size
    """Rows in one INSERT."""
    max_download_size: PositiveInt = _DEFAULTS.max_download_size
    """Bytes of a download export."""
    max_export_size: PositiveInt = _DEFAULTS.max_export_size
    """Bytes of an export to a path or a bucket."""
    max_csv_rows: PositiveInt = _DEFAULTS.max_csv_rows
    """Content rows of one export."""
    max_concurrent_publishes: PositiveInt = _DEFAULTS.max_concurrent_publishes
    """Publishes of one scheduler run in flight."""
    job_timeout_ms: PositiveInt = _DEFAULTS.job_timeout_ms
    """Time limit of the media clean-up."""
    cold_media_days: PositiveInt = _DEFAULTS.cold_media_days
    """Days without access before media goes to cold storage."""
    orphan_media_days: PositiveInt = _DEFAULTS.orphan_media_days
    """Days without a reference before media is deleted."""
    windows: Annotated[tuple[Annotated[int, Field(ge=1, le=3650)], ...], Field(min_length=1)] = (
        _DEFAULTS.windows
    )
    """Days each feedback window looks back."""
    max_entities: Annotated[int, Field(ge=1, le=_DEFAULTS.max_entities)] = _DEFAULTS.max_entities
    """Entities of one feedback job; at most what its contract takes."""
    max_active_jobs_per_org: PositiveInt = _DEFAULTS.max_active_jobs_per_org
    """Jobs of one org running at once."""
    max_org_depth: NonNegativeInt = _DEFAULTS.max_org_depth
    """Jobs of one org that are not done, delayed ones too; more are refused when they are sent. 0: any number."""
    max_queue_depth: NonNegativeInt = _DEFAULTS.max_queue_depth
    """The same of one queue. 0: any number."""
    max_org_bytes: NonNegativeInt = _DEFAULTS.max_org_bytes
    """Bytes that the messages of one org have whose jobs are not done. 0: any number."""
    max_queue_bytes: NonNegativeInt = _DEFAULTS.max_queue_bytes
    """The same of one queue. 0: any number."""
    max_schedules_per_org: PositiveInt = _DEFAULTS.max_schedules_per_org
    """Schedules one org may keep."""
    export_expiry_days: PositiveInt = _DEFAULTS.export_expiry_days
    """Days an export to a path or a bucket is kept."""
    download_expiry_days: PositiveInt = _DEFAULTS.download_expiry_days
    """Days a download link works."""
    dead_letter_retention_days: PositiveInt = _DEFAULTS.dead_letter_retention_days
    """Days a dead letter is kept."""
    attempt_retention_days: PositiveInt = _DEFAULTS.attempt_retention_days
    """Days the history of attempts, and of exports that failed, is kept."""
    audit_retention_days: PositiveInt = _DEFAULTS.audit_retention_days
    """Days the audit log is kept."""

    @field_validator("database_url", "database_owner_url")
    @classmethod
    def _is_postgres(cls, url: SecretStr | None) -> SecretStr | None:
        if url and not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        return url

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, url: SecretStr | None) -> SecretStr | None:
        if url and not _REDIS_URL.match(url.get_secret_value()):
            raise ValueError(
                "must begin with redis://, rediss:// or unix://, or be redis+sentinel://host:port[,host:port...]/service"
            )
        return url

    @field_validator("feedback_source_url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return url

    @property
    def ready_folder(self) -> Path:
        """Where heartbeats are kept."""
        return self.ready_dir or self.home / "ready"

    @field_validator("publish_allowed_networks")
    @classmethod
    def _are_networks(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for each in given:
            try:
                ipaddress.ip_network(each)
            except ValueError:
                raise ValueError("each must be a network like 10.1.0.0/16 or fd00::/8") from None
        return given

    @property
    def limits(self) -> Limits:
        """The numbers the jobs obey."""
        return Limits(**{name: getattr(self, name) for name in Limits.__dataclass_fields__})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        run_file = JsonConfigSettingsSource(settings_cls, json_file=_home() / RUN_FILE)
        return init_settings, env_settings, run_file


class _OwnSettings(Settings):
    """What this process was told itself, whatever a running `up` has to say."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings


def load_settings(*, run_file: bool = True) -> Settings:
    """The settings of this process.

    Parameters:
        run_file: whether a running `up` fills what the environment leaves open. Default True.

    Raises:
        SettingsError: a variable has a bad value, or a `PRESSROOM_` name is not a setting.

    Example:
        >>> load_settings().max_csv_rows
        10000
    """
    own = [name for name in os.environ if name.startswith(PREFIX) and name != REASON_VARIABLE]
    unknown = [_unknown(name) for name in own if not is_setting(name)]
    if unknown:
        raise SettingsError("\n".join(unknown))
    try:
        return Settings() if run_file else _OwnSettings()
    except UnreadableSetting as error:  # its own text names the field, and repeats no value
        raise SettingsError(f"{error}; lists are written as JSON, like [7, 30, 90]") from None
    except json.JSONDecodeError:
        raise SettingsError(f"{RUN_FILE} in {_home()} is damaged; remove it and start `up` again") from None
    except ValidationError as error:
        faults = [f"{_variable(fault['loc'])}: {fault['msg']}" for fault in error.errors(include_url=False)]
        raise SettingsError("\n".join(faults)) from None


def variable(field: str) -> str:
    """The environment variable that sets a field.

    Example:
        >>> variable("max_csv_rows")
        'PRESSROOM_MAX_CSV_ROWS'
    """
    upper = field.upper()
    return upper if upper in UNPREFIXED else PREFIX + upper


def is_setting(name: str) -> bool:
    """True if an environment variable sets something here."""
    return name in {variable(field) for field in Settings.model_fields}


def as_environment(values: Mapping[str, object]) -> dict[str, str]:
    """Settings by field name as the variables that say the same.

    Example:
        >>> as_environment({"secret_keys": ["k"], "http_port": 80})
        {'PRESSROOM_SECRET_KEYS': '["k"]', 'PRESSROOM_HTTP_PORT': '80'}
    """
    return {
        variable(field): value if isinstance(value, str) else json.dumps(value)
        for field, value in values.items()
    }


def child_environment(values: Mapping[str, object]) -> dict[str, str]:
    """This process's environment with settings replaced, for a process that it starts."""
    return {**os.environ, **as_environment(values)}


def masked(url: str) -> str:
    """A URL that can be shown: without its password.

    Example:
        >>> masked("redis://me:secret@cache/0")
        'redis://me:***@cache/0'
    """
    shown = re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", url)
    return re.sub(r"([?&]\w*password=)[^&]*", r"\1***", shown)


def _home() -> Path:
    return Path(os.environ.get(variable("home")) or Settings.model_fields["home"].default)


def _variable(location: Iterable[object]) -> str:
    first, *rest = map(str, location)
    return ".".join([variable(first), *rest])


def _unknown(name: str) -> str:
    known = [field.upper() for field in Settings.model_fields]
    close = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=1)
    hint = (
        f"did you mean {variable(close[0].lower())}?" if close else "`python -m app settings` lists them all"
    )
    return f"{name} is not a setting; {hint}"
