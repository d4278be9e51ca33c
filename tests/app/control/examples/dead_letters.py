"""Examples of `control.dead_letters`."""

from collections.abc import Callable

from adapters.database.dead_letters import SqlDeadLetters
from middleware import DeadLetterFilter
from middleware.dead_letters.letter import DeadLetter
from tests.middleware.dead_letters.sample_letters import a_letter

from . import Example, World, new_id

SECTION = "dead_letters"


def examples(world: World) -> dict[str, Example]:
    """By the name of the call."""

    def letter() -> DeadLetter:
        org, payload = str(world.owner), {"org_id": str(world.owner), "image_id": 7}
        kept = a_letter(
            org=org,
            redacted=(),
            fingerprint=new_id(),
            contract_version=1,
            options={"org": org},
            payload={"args": [payload], "kwargs": {}},
        )
        SqlDeadLetters(world.engine, DeadLetter.from_record).put([kept])
        return kept

    def one(**more: object) -> Example:
        return Example(
            mine=lambda: {"letter_id": letter().id, **more}, nowhere=lambda: {"letter_id": new_id(), **more}
        )

    def many(**more: object) -> Example:
        def of(org_id: Callable[[], object]) -> dict[str, object]:
            return {"which": DeadLetterFilter(fingerprint=letter().fingerprint), "org_id": org_id(), **more}

        return Example(mine=lambda: of(lambda: world.owner), nowhere=lambda: of(new_id))

    purging = {"before_ms": 1_000_000_000}
    return {
        "list": many(),
        "show": one(),
        "stats": many(),
        "count": many(),
        "retry": one(),
        "edit": one(payload={"org_id": str(world.owner), "image_id": 700_000_000_000}),
        "retry_matching": many(watch_s=0),
        "delete": one(),
        "purge": Example(
            mine={**purging, "org_id": world.owner}, nowhere=lambda: {**purging, "org_id": new_id()}
        ),
    }
