"""Every limit of the platform, named once. Settings fill it from the environment."""

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The numbers the jobs obey; the seed's names in lower case, units where the seed had none.

    Example:
        >>> Limits(max_csv_rows=500).max_csv_rows
        500
    """

    #: Rows in one INSERT statement (seed H5, BATCH_INSERT_SIZE).
    batch_insert_size: int = 100
    #: Bytes of a `download` export (seed H9, MAX_DOWNLOAD_SIZE).
    max_download_size: int = 10 * MIB
    #: Bytes of an export to a path or a bucket (MAX_EXPORT_SIZE).
    max_export_size: int = 1 * GIB
    #: Content rows of one export, newest first (seed M9, MAX_CSV_ROWS).
    max_csv_rows: int = 10_000
    #: Publishes of one scheduler run in flight at once (seed H13, MAX_CONCURRENT_PUBLISHES).
    max_concurrent_publishes: int = 5
    #: Time limit of the media clean-up (seed H12, JOB_TIMEOUT_MS).
    job_timeout_ms: int = 5 * 60 * 1000
    #: Days without access after which media goes to cold storage (COLD_MEDIA_DAYS).
    cold_media_days: int = 30
    #: Days without a reference after which media is deleted (ORPHAN_MEDIA_DAYS).
    orphan_media_days: int = 7
    #: Days each feedback window looks back (WINDOWS).
    windows: tuple[int, ...] = (7, 30, 90)
    #: Entities one feedback job may carry (MAX_ENTITIES).
    max_entities: int = 100
    #: Jobs of one org running at once (seed M3, MAX_ACTIVE_JOBS_PER_ORG).
    max_active_jobs_per_org: int = 10
    #: Jobs of one org that are not done, waiting and delayed ones too; 0 for any number.
    max_org_depth: int = 100_000
    #: Jobs of one queue that are not done; 0 for any number.
    max_queue_depth: int = 1_000_000
    #: What the jobs of one org that are not done take in Redis, in bytes of their messages; 0 for any number.
    max_org_bytes: int = 256 * MIB
    #: The same of one queue; 0 for any number.
    max_queue_bytes: int = 2 * GIB
    #: Schedules one org may keep.
    max_schedules_per_org: int = 100
    #: Days an export to a path or a bucket is kept.
    export_expiry_days: int = 7
    #: Days a download link works.
    download_expiry_days: int = 1
    #: Days a dead letter is kept.
    dead_letter_retention_days: int = 30
    #: Days the history of attempts, and of exports that failed, is kept.
    attempt_retention_days: int = 30
    #: Days the audit log is kept.
    audit_retention_days: int = 365
