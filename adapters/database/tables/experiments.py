"""Experiments, their variants and their runs."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    text,
)

from .schema import (
    bounded,
    enumerated,
    identifier,
    instant,
    json_data,
    metadata,
    of_domain,
    of_parent,
    org_id,
)

#: Bytes of an experiment's metadata. The contract's limit is lower; PostgreSQL writes JSON with spaces.
MAX_METADATA_BYTES = 64 * 1024

experiments = Table(
    "experiments",
    metadata,
    org_id(),
    identifier("id"),
    identifier("domain_id"),
    bounded("name", 200),
    enumerated("status", "draft", "ready", "running", "paused", "completed", "archived"),
    json_data("metadata", MAX_METADATA_BYTES, default="{}"),
    instant("started_at", nullable=True),
    instant("created_at", now=True),
    instant("updated_at", now=True),
    PrimaryKeyConstraint("org_id", "id"),
    of_domain(),
    Index("ix_experiments_domain", "org_id", "domain_id"),
)

experiment_variants = Table(
    "experiment_variants",
    metadata,
    org_id(),
    identifier("id"),
    identifier("experiment_id"),
    bounded("name", 200),
    #: Its share of the traffic, relative to the other variants.
    Column(
        "weight",
        Integer,
        CheckConstraint("weight >= 0", name="weight_not_negative"),
        nullable=False,
        server_default=text("1"),
    ),
    json_data("settings", MAX_METADATA_BYTES, default="{}"),
    PrimaryKeyConstraint("org_id", "id"),
    UniqueConstraint("org_id", "experiment_id", "name"),
    of_parent("experiment_id", "experiments"),
)

experiment_runs = Table(
    "experiment_runs",
    metadata,
    org_id(),
    identifier("id"),
    identifier("experiment_id"),
    enumerated("status", "running", "completed", "stopped"),
    bounded("triggered_by", 256),
    json_data("metadata", MAX_METADATA_BYTES, default="{}"),
    instant("started_at", now=True),
    instant("ended_at", nullable=True),
    PrimaryKeyConstraint("org_id", "id"),
    CheckConstraint("(status = 'running') = (ended_at IS NULL)", name="ended_has_time"),
    of_parent("experiment_id", "experiments"),
    Index("ix_experiment_runs_newest", "org_id", "experiment_id", text("started_at DESC")),
    # Of any number of starts at once, one wins.
    Index(
        "uq_experiment_runs_running",
        "org_id",
        "experiment_id",
        unique=True,
        postgresql_where=text("status = 'running'"),
    ),
)
