"""Who asks the control API for something: one org, or an operator of the platform. There is nobody in between."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from domain.errors import Category, InvalidInput, PermanentError

#: The longest name and reason that the audit log keeps, in characters.
MAX_WHO_CHARS = 256
MAX_REASON_CHARS = 2_000


class OperatorsOnly(PermanentError):
    """The call concerns the platform as a whole; no org may make it."""

    category: ClassVar[Category] = "auth"

    def __init__(self, action: str) -> None:
        super().__init__(
            f"{action} concerns every org and is for operators only; call as an operator, with a reason"
        )


@dataclass(frozen=True, kw_only=True)
class OrgCaller:
    """Somebody who acts for one org. What is another org's does not exist for them.

    Parameters:
        org_id: the org; it alone is seen and touched.
        who: the person or program, for the audit log.
        reason: why; kept in the audit log.

    Raises:
        InvalidInput: `who` or `reason` is empty, or longer than the audit log takes.

    Example:
        >>> OrgCaller(org_id=org_id, who="ann", reason="ticket 4711")
    """

    org_id: UUID
    who: str
    reason: str

    def __post_init__(self) -> None:
        _check(self.who, self.reason)


@dataclass(frozen=True, kw_only=True)
class Operator:
    """Somebody who runs the platform, and so sees every org's things; whatever they do or look at is kept.

    Parameters:
        who: the person or program, for the audit log.
        reason: why; kept in the audit log.

    Raises:
        InvalidInput: as for `OrgCaller`.

    Example:
        >>> Operator(who="ann", reason="incident 12: exports hang")
    """

    #: An operator acts for no org in particular.
    org_id: ClassVar[None] = None

    who: str
    reason: str

    def __post_init__(self) -> None:
        _check(self.who, self.reason)


Caller = OrgCaller | Operator


def _check(who: str, reason: str) -> None:
    if not who.strip():
        raise InvalidInput("who is empty; name the person or program, since the audit log keeps who did what")
    if not reason.strip():
        raise InvalidInput("reason is empty; say why, since whoever reads the audit log will want to know")
    if len(who) > MAX_WHO_CHARS or len(reason) > MAX_REASON_CHARS:
        raise InvalidInput(
            f"who may have {MAX_WHO_CHARS} characters and reason {MAX_REASON_CHARS}; shorten what is longer"
        )
