"""The base of every job's contract: what `actor.send(...)` takes and what a worker gets."""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

#: A point in time with its zone; naive datetimes are refused.
Instant = AwareDatetime

#: PostgreSQL text cannot hold NUL, and no honest input has it.
NO_NUL = r"^[^\x00]*$"

#: A short human label: stripped, never empty.
Label = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]

#: An idempotency key as the caller chose it.
IdempotencyKey = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=NO_NUL)]


class Model(BaseModel):
    """A frozen, strict value: unknown fields are refused, strings are stripped, inputs stay out of errors."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        str_strip_whitespace=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


class TenantJob(Model):
    """A job that works for one org; everything it touches belongs to that org or is not found."""

    #: Raised when the meaning of a field changes; an older worker leaves newer messages alone.
    contract_version: ClassVar[int] = 1

    org_id: UUID = Field(description="The org this job works for.")
