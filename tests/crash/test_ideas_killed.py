"""`content_idea_generation`, killed after each step."""

from collections.abc import Sequence

from adapters.database.tables import content_ideas, idempotency_keys
from tests.crash.kill_kit import Case, Slot, kill_everywhere
from tests.crash.seeds import counts, new_domain, new_org


def test_a_batch_of_ideas_is_written_whole_and_once(worlds: Sequence[Slot]) -> None:
    """Whenever the worker dies there is the whole batch with its key or none of it; afterwards there is one."""
    steps = kill_everywhere(worlds, "content_idea_generation", _prepare)

    assert steps.count("Connection.commit") >= 3
    assert len(steps) > 10


def _prepare(world: Slot) -> Case:
    org_id = new_org(world.engine)
    domain_id = new_domain(world.engine, org_id)

    def written() -> tuple[int, ...]:
        return tuple(counts(world.engine, (content_ideas, idempotency_keys), org_id).values())

    def half_way() -> None:
        assert written() in ((0, 0), (7, 1))

    def afterwards() -> None:
        assert written() == (7, 1)

    payload = {
        "org_id": str(org_id),
        "domain_id": str(domain_id),
        "keywords": ["bread"],
        "content_type": "article",
        "max_ideas": 7,
    }
    return Case(payload, half_way, afterwards)
