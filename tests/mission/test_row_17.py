"""Row 17: the recommended indexes."""

import json
from collections.abc import Iterator

from .platform import Platform, Row

#: Index, table, its columns, and the question that it was recommended for.
RECOMMENDED = (
    ("idx_content_ideas_idempotency", "content_ideas", "idempotency_key", "idempotency_key = 'one'"),
    (
        "idx_job_executions_status_entity",
        "job_executions",
        "status, entity_id",
        "status = 'running' AND entity_id = '1'",
    ),
    ("idx_publishing_dlq_category", "publishing_dlq", "error_category", "error_category = 'network'"),
    ("idx_publishing_dlq_region", "publishing_dlq", "region", "region = 'eu'"),
    (
        "idx_feedback_metrics_entity_window",
        "feedback_metrics",
        "entity_id, window_days",
        "entity_id = '1' AND window_days = 7",
    ),
)

#: Beside them, what the platform asks all the time: its due work, its newest rows.
OWN = (
    ("ix_content_items_due", "content_items", "status = 'scheduled' AND publish_at <= now()"),
    ("ix_schedules_due", "schedules", "NOT paused AND next_due_at <= now()"),
    ("ix_outbox_due", "outbox", "due_at <= now()"),
    ("ix_job_attempts_message", "job_attempts", "message_id = 'one'"),
)


def _indexes(plan: Row) -> Iterator[str]:
    if "Index Name" in plan:
        yield plan["Index Name"]
    for each in plan.get("Plans", []):
        yield from _indexes(each)


def test_the_five_recommended_indexes_are_there_and_answer_their_questions(platform: Platform) -> None:
    """Each stands on the columns that were recommended, is valid, and is what the planner takes for its question.

    So are those of the platform's own questions.

    Seen red with the index of regions (`migrations/versions/0008_operations.py`) left out: its question would read
    the whole table.
    """
    defined = {
        each["indexname"]: each["indexdef"]
        for each in platform.sql("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'")
    }
    invalid = platform.sql("SELECT indexrelid::regclass::text AS name FROM pg_index WHERE NOT indisvalid")
    plans: dict[str, set[str]] = {}
    with platform.connection() as connection:
        # Tables of a test are too small for an index to pay.
        connection.execute("SET enable_seqscan = off")
        connection.execute("SET enable_bitmapscan = off")
        asked = [(index, table, question) for index, table, _, question in RECOMMENDED]
        for index, table, question in (*asked, *OWN):
            query = f"EXPLAIN (FORMAT JSON) SELECT * FROM {table} WHERE {question}"
            (row,) = connection.execute(query.encode()).fetchall()
            (explained,) = row["QUERY PLAN"]
            plans[index] = set(_indexes(explained["Plan"]))

    assert invalid == []
    for index, table, columns, _ in RECOMMENDED:
        assert defined.get(index, "").endswith(f" ON public.{table} USING btree ({columns})"), index
    assert {index: index in used for index, used in plans.items()} == dict.fromkeys(plans, True), json.dumps(
        {index: sorted(used) for index, used in plans.items()}
    )
