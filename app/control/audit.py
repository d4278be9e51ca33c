"""The one way to act: what a caller is about to do is written down first, and not done when it cannot be.

A section of the API is a class of methods that are each marked with `changes` or `reads`; an unmarked public
method is refused when the class is made, so that none goes unaudited for having been forgotten.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import ClassVar, Concatenate, ParamSpec, Protocol, TypeVar
from uuid import UUID

from domain.errors import NotFound

from .caller import Caller, Operator, OperatorsOnly, OrgCaller

#: The argument by which a call names an org.
ORG_ARGUMENT = "org_id"

_MARK = "_control_call"


class AuditLog(Protocol):
    """Keeps who did what."""

    def record(
        self, actor: str, action: str, target: str, *, reason: str | None = None, org_id: UUID | None = None
    ) -> None:
        """Write down what is about to be done.

        Raises:
            JobError: it was not written, so it may not be done.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Call:
    """What is known of a method of the API."""

    #: As the audit log has it, like `jobs.cancel`.
    action: str
    #: Whether it changes anything. What changes nothing is audited for operators alone.
    changes: bool
    #: Arguments that make up the target of the audit row.
    target: tuple[str, ...]
    operators_only: bool


class Section:
    """A part of the API: every public method takes the caller first and is marked `changes` or `reads`.

    Parameters:
        audit: keeps who did what.

    Example:
        >>> class Doors(Section):
        ...     @changes("doors.lock", "door")
        ...     def lock(self, caller: Caller, door: str) -> None: ...
    """

    calls: ClassVar[dict[str, Call]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        public = {name: value for name, value in vars(cls).items() if not name.startswith("_")}
        unmarked = [name for name, value in public.items() if callable(value) and call_of(value) is None]
        if unmarked:
            raise TypeError(f"mark {', '.join(unmarked)} of {cls.__name__} with @changes or @reads")
        cls.calls = {name: call for name, value in public.items() if (call := call_of(value)) is not None}

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit


SectionT = TypeVar("SectionT", bound=Section)
P = ParamSpec("P")
R = TypeVar("R")
Method = Callable[Concatenate[SectionT, Caller, P], R]


def changes(
    action: str, *target: str, operators_only: bool = False
) -> Callable[[Method[SectionT, P, R]], Method[SectionT, P, R]]:
    """Marks a method that changes something: each call of it is audited before it is made.

    An argument called `org_id` is the org that is meant: an org's caller may name its own and no other, and the
    audit row of an operator's call carries it.

    Parameters:
        action: as the audit log has it, like `jobs.cancel`.
        target: names of the arguments that say to what it is done; never one whose value may be a secret.
        operators_only: refuse it to orgs. Default False.

    Raises:
        OperatorsOnly: from the method: an org called.
        NotFound: from the method: an org's caller named another org.
        JobError: from the method: the audit row was not written, so nothing was done.

    Example:
        >>> @changes("jobs.cancel", "job_id")
        ... def cancel(self, caller: Caller, job_id: str) -> None: ...
    """
    return _marker(Call(action=action, changes=True, target=target, operators_only=operators_only))


def reads(
    action: str, *target: str, operators_only: bool = False
) -> Callable[[Method[SectionT, P, R]], Method[SectionT, P, R]]:
    """Marks a method that changes nothing: it is audited when an operator calls. Parameters as for `changes`."""
    return _marker(Call(action=action, changes=False, target=target, operators_only=operators_only))


def call_of(method: object) -> Call | None:
    """What a method was marked with; None when it was not."""
    call = getattr(method, _MARK, None)
    return call if isinstance(call, Call) else None


def _marker(call: Call) -> Callable[[Method[SectionT, P, R]], Method[SectionT, P, R]]:
    def mark(method: Method[SectionT, P, R]) -> Method[SectionT, P, R]:
        signature = inspect.signature(method)
        missing = set(call.target) - set(signature.parameters)
        if missing:
            raise TypeError(f"{call.action} has no argument {', '.join(sorted(missing))}")

        @functools.wraps(method)
        def audited(section: SectionT, caller: Caller, /, *args: P.args, **kwargs: P.kwargs) -> R:
            if not isinstance(caller, OrgCaller | Operator):
                raise TypeError(f"the caller is an OrgCaller or an Operator, not {type(caller).__name__}")
            if call.operators_only and not isinstance(caller, Operator):
                raise OperatorsOnly(call.action)
            given = signature.bind(section, caller, *args, **kwargs).arguments
            org_id = given.get(ORG_ARGUMENT)
            if isinstance(caller, OrgCaller) and org_id not in (None, caller.org_id):
                raise NotFound("org", org_id)
            if call.changes or isinstance(caller, Operator):
                section._audit.record(
                    caller.who,
                    call.action,
                    _target(call.target, given),
                    reason=caller.reason,
                    org_id=caller.org_id or org_id,
                )
            return method(section, caller, *args, **kwargs)

        setattr(audited, _MARK, call)
        return audited

    return mark


def _target(names: tuple[str, ...], given: dict[str, object]) -> str:
    named: dict[str, object] = {}
    for name in names:
        value = given.get(name)
        named |= _fields(value) if is_dataclass(value) else {name: value}
    said = {name: _text(value) for name, value in named.items() if value not in (None, (), [])}
    if len(names) == 1:
        return next(iter(said.values()), "*")
    return " ".join(f"{name}={value}" for name, value in said.items()) or "*"


def _fields(value: object) -> dict[str, object]:
    return {each.name: getattr(value, each.name) for each in fields(value)}  # type: ignore[arg-type]


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
