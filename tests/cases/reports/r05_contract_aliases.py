"""Whatever pydantic accepts as a model, sent as an instance, arrives as an equal instance: with aliases, too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import dramatiq
from dramatiq.brokers.stub import StubBroker
from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from middleware import Contracts
from tests.cases.kit import in_short, outcome, verdict


class Plain(BaseModel):
    """Another name on the wire."""

    user_id: int = Field(alias="userId")


class Camel(BaseModel):
    """A rule for all names, and no others."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")
    user_id: int
    site_name: str


class Choices(BaseModel):
    """Several names at validation, its own at serialisation."""

    user_id: int = Field(validation_alias=AliasChoices("uid", "user"))


class Nested(BaseModel):
    """A model inside another."""

    who: Camel


def main() -> list[str]:
    """What is wrong."""
    faults = []
    camel = Camel.model_validate({"userId": 7, "siteName": "a"})
    for job in (
        Plain.model_validate({"userId": 7}),
        camel,
        Choices.model_validate({"uid": 7}),
        Nested(who=camel),
    ):
        arrived = outcome(lambda job=job: _arrived(job))  # type: ignore[misc]
        print(f"{type(job).__name__:8} {'arrives' if arrived == job else in_short(arrived)}")
        if arrived != job:
            faults.append(type(job).__name__)
    return faults


def _arrived(job: BaseModel) -> object:
    broker = StubBroker(middleware=[Contracts()])
    broker.emit_after("process_boot")
    got: list[object] = []

    def run(job: object) -> None:
        got.append(job)

    run.__annotations__ = {"job": type(job)}
    actor = dramatiq.actor(broker=broker)(run)
    message = actor.send(job)
    actor.fn(*message.args)
    return got[0]


if __name__ == "__main__":
    verdict(main)
