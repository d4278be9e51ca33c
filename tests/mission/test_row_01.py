"""Row 1: `content_idea_generation`."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from .chat import ideas, provider, wanted
from .platform import Org, Platform
from .remote import Reply, Request, remote

IDEAS = 250


def _forget_claim(platform: Platform, job_id: str) -> None:
    """Lose what Redis knows of a job's idempotency key, as one that came up empty would."""
    with platform.redis() as client:
        claims = [key for key in client.scan_iter("*idempotency*") if client.type(key) == "hash"]
        (own,) = [key for key in claims if client.hget(key, "holder") == job_id]
        client.delete(own)


def test_ideas_come_from_the_next_provider_in_hundreds_and_once_for_a_key(
    platform: Platform, org: Org
) -> None:
    """A provider that is down is passed over, a circuit that is open not even asked; a key has one batch of ideas.

    The provider gets the averages of 30 days. The ideas are inserted by the hundred, in one transaction with the key
    that began after the provider had answered. The key holds also when Redis has forgotten that there was such a job.

    Seen red with the job's id taken for its key (`domain/content_idea_generation.py`): a second batch.
    """
    region, today = f"r{uuid4().hex[:8]}", datetime.now(UTC).date()
    days = {1: 10, 2: 30, 40: 9_000}  # the last is too old to count
    platform.insert(
        "keyword_metrics",
        *(
            {
                "org_id": org.id,
                "domain_id": org.domain_id,
                "keyword": "bread",
                "day": today - timedelta(days=ago),
                "clicks": clicks,
                "impressions": 10_000,
                "position": 4.0,
            }
            for ago, clicks in days.items()
        ),
    )
    answered: list[datetime] = []

    def serve(request: Request) -> Reply:
        reply = ideas(request)
        answered.append(datetime.now(UTC))
        return reply

    with remote(lambda request: Reply(401)) as broken, remote(serve) as fine:
        names = f"broken-{region}", f"fine-{region}"
        providers = [provider(names[0], broken.url), provider(names[1], fine.url)]
        with platform.worker(
            "dramatiq",
            "actors",
            "--processes=1",
            "--threads=4",
            f"--queues=content.{region}",
            PRESSROOM_REGION=region,
            PRESSROOM_AI_PROVIDERS=json.dumps(providers),
            PRESSROOM_AI_TEMPLATE_FALLBACK="false",
        ):
            job = org.job(
                keywords=["bread"], content_type="article", max_ideas=IDEAS, idempotency_key=str(uuid4())
            )
            first, again = (platform.send("content_idea_generation", job, region=region) for _ in range(2))
            result = platform.result_of(first)
            skipped = platform.end_of(again)
            _forget_claim(platform, first)
            late = platform.result_of(platform.send("content_idea_generation", job, region=region))
            batches = platform.sql(
                "SELECT cmin::text::int AS command, min(xmin::text) AS transaction, count(*) AS ideas,"
                " min(created_at) AS begun FROM content_ideas WHERE org_id = %s GROUP BY 1 ORDER BY 1",
                org.id,
            )
            keys = platform.sql(
                "SELECT xmin::text AS transaction, holder FROM idempotency_keys WHERE org_id = %s", org.id
            )
            asked = len(broken.received)

            held = platform.run(
                "breakers", "open", f"ai:{names[0]}", "--operator", "--reason", "row 1", "--json"
            ).json()
            other = platform.send(
                "content_idea_generation", {**job, "max_ideas": 1, "idempotency_key": None}, region=region
            )
            platform.result_of(other)

    assert (result["status"], result["ideas"]) == ("completed", IDEAS)
    assert skipped["outcome"] == "skipped"
    assert (late["status"], late["batch_id"]) == ("already_processed", result["batch_id"])
    assert [str(each["holder"]) for each in keys] == [result["batch_id"]]
    assert [each["ideas"] for each in batches] == [100, 100, 50]
    assert {each["transaction"] for each in batches} == {keys[0]["transaction"]}
    assert batches[0]["begun"] > answered[0]
    assert wanted(fine.received[0])["averages_30_days"] == [
        {"keyword": "bread", "clicks": 20.0, "position": 4.0}
    ]
    assert asked > 0
    assert held["state"] == "open"
    assert len(broken.received) == asked
