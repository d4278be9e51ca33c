"""The control API: what people and programs may ask of the platform while it runs, each on the record.

Every call names its caller: somebody who acts for one org, or an operator. To an org's caller another org's things do
not exist. What changes anything, and whatever an operator asks, is written to the audit log first, with a reason.
"""

from typing import TYPE_CHECKING

from .caller import Caller, Operator, OperatorsOnly, OrgCaller

if TYPE_CHECKING:
    from app.settings import Settings

    from .build import Control

__all__ = ["Caller", "Operator", "OperatorsOnly", "OrgCaller", "build_control"]


def build_control(settings: "Settings") -> "Control":
    """The API on the platform's servers; a context that closes its connections. None is opened before it is needed.

    Raises:
        SettingsError: no database is named and no `up` is running.

    Example:
        >>> with build_control(load_settings()) as control:
        ...     control.jobs.cancel(OrgCaller(org_id=org_id, who="ann", reason="ticket 4711"), job_id)
    """
    # Only now: whoever names a caller needs neither database nor Redis.
    from .build import build

    return build(settings)
