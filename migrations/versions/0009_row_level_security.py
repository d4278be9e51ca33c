"""Roles, grants and row-level security: an org sees and touches its own rows, whatever the query says.

Roles belong to the whole cluster. They are created when missing, also when two databases are migrated at once, and
`downgrade` leaves them because other databases may use them.
"""

from collections.abc import Iterator

from alembic import op

revision = "0009_row_level_security"
down_revision = "0008_operations"
branch_labels = None
depends_on = None

WORKER = "pressroom_worker"
SYSTEM = "pressroom_system"

#: Tables of rows that belong to an org; all but the audit log may be written by a job of that org.
WRITABLE = (
    "ai_usage",
    "content_ideas",
    "content_items",
    "content_performance",
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
    "outbox",
    "publish_executions",
    "publish_intents",
    "publish_targets",
    "publishing_dlq",
)
TENANT = (*WRITABLE, "audit_log")
#: `cron_ticks` has no org: the system role alone may touch it.
SYSTEM_WRITABLE = (*WRITABLE, "orgs", "cron_ticks")

#: A setting that was never made, or was made in a transaction that is over, is no org at all.
CURRENT_ORG = "NULLIF(current_setting('app.org', true), '')::uuid"

ROLES = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pressroom_worker') THEN
        -- Without a password: whoever runs the server gives it one, or another way to log in.
        CREATE ROLE pressroom_worker LOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL; -- made by a migration of another database in the same moment
END
$$;
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pressroom_system') THEN
        CREATE ROLE pressroom_system NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_auth_members
        WHERE roleid = 'pressroom_system'::regrole AND member = 'pressroom_worker'::regrole AND set_option
    ) THEN
        GRANT pressroom_system TO pressroom_worker WITH INHERIT FALSE, SET TRUE;
    END IF;
    -- Any of these would let every job see every org.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'pressroom_worker' AND (rolsuper OR rolbypassrls))
        OR pg_has_role('pressroom_worker', 'pressroom_system', 'USAGE')
    THEN
        RAISE EXCEPTION 'pressroom_worker is not held by row-level security'
            USING HINT = 'ALTER ROLE pressroom_worker NOSUPERUSER NOBYPASSRLS; '
                'GRANT pressroom_system TO pressroom_worker WITH INHERIT FALSE, SET TRUE';
    END IF;
END
$$;
"""


def upgrade() -> None:
    """Make the roles, then close every table and open what each role needs."""
    op.execute(ROLES)
    for table, owner in _owners():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant ON {table} USING ({owner} = {CURRENT_ORG}) WITH CHECK ({owner} = {CURRENT_ORG})"
        )
        op.execute(f"CREATE POLICY system ON {table} TO {SYSTEM} USING (true) WITH CHECK (true)")

    op.execute(f"GRANT SELECT ON orgs, alembic_version TO {WORKER}")
    op.execute(f"GRANT SELECT, INSERT ON audit_log TO {WORKER}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(WRITABLE)} TO {WORKER}")
    # Nobody changes the audit log; the system role removes what is past its retention.
    op.execute(f"GRANT SELECT, INSERT, DELETE ON audit_log TO {SYSTEM}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(SYSTEM_WRITABLE)} TO {SYSTEM}")


def downgrade() -> None:
    """Take everything back but the roles."""
    everything = ", ".join((*TENANT, "orgs", "cron_ticks", "alembic_version"))
    op.execute(f"REVOKE ALL ON {everything} FROM {WORKER}, {SYSTEM}")
    for table, _ in _owners():
        op.execute(f"DROP POLICY system ON {table}")
        op.execute(f"DROP POLICY tenant ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY")


def _owners() -> Iterator[tuple[str, str]]:
    yield "orgs", "id"
    for table in TENANT:
        yield table, "org_id"
