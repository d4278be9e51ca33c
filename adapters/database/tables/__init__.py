"""Every table of the platform, by topic, in one metadata."""

from .content import content_ideas, content_items, content_performance, keyword_metrics
from .experiments import experiment_runs, experiment_variants, experiments
from .exports import domain_exports
from .feedback import feedback_events, feedback_metrics
from .jobs import cron_ticks, idempotency_keys, job_attempts, job_executions, outbox
from .media import media_assets, media_references
from .operations import ai_usage, audit_log, publishing_dlq
from .publishing import publish_executions, publish_intents, publish_targets
from .schedules import schedules
from .schema import metadata, tenant_tables
from .tenancy import domain_registry, domain_settings, domain_transfer_tokens, orgs

__all__ = [
    "ai_usage",
    "audit_log",
    "content_ideas",
    "content_items",
    "content_performance",
    "cron_ticks",
    "domain_exports",
    "domain_registry",
    "domain_settings",
    "domain_transfer_tokens",
    "experiment_runs",
    "experiment_variants",
    "experiments",
    "feedback_events",
    "feedback_metrics",
    "idempotency_keys",
    "job_attempts",
    "job_executions",
    "keyword_metrics",
    "media_assets",
    "media_references",
    "metadata",
    "orgs",
    "outbox",
    "publish_executions",
    "publish_intents",
    "publish_targets",
    "publishing_dlq",
    "schedules",
    "tenant_tables",
]
