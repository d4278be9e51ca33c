"""`@actor`, as Dramatiq has it, with types that know the guards' options and the payloads that actors take."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    ParamSpec,
    Protocol,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
    overload,
)

import dramatiq
from dramatiq import Actor, Broker, Message
from pydantic import BaseModel

from .contracts.guard import Upcaster
from .cron.schedule import CronSchedule
from .org_limits.rate import Rate

P = ParamSpec("P")
R = TypeVar("R")
ModelT = TypeVar("ModelT", bound=BaseModel)


class JobOptions(TypedDict, total=False):
    """What an actor says for all its messages, and a message for itself."""

    #: A key and how many jobs with it may run at once within an org, like `("site-7", 2)`.
    concurrency: tuple[str, int]
    #: Circuits that have to be closed: `"ai"`, or several.
    depends_on: str | Sequence[str]
    #: True: runs once although it has no idempotency key; False: takes no part although it has.
    idempotent: bool
    #: A cancelled job is interrupted, and not only asked at its next `checkpoint()`.
    interrupt_on_cancel: bool
    #: Milliseconds from when the message was made, after which no attempt begins.
    max_age: float
    #: Milliseconds before the next attempt, at most.
    max_backoff: int
    #: Attempts after the first.
    max_retries: int
    #: Milliseconds before the second attempt, at most; doubled for each one after.
    min_backoff: int
    #: The job is interrupted when its worker stops.
    notify_shutdown: bool
    #: Name of the actor that is sent a message whose retries are used up.
    on_retry_exhausted: str
    #: The next step of a pipeline is not given this one's result.
    pipe_ignore: bool
    #: The next step of a pipeline, as `Message.asdict()` has it.
    pipe_target: Mapping[str, object]
    #: Milliseconds for which a result is kept.
    result_ttl: int
    #: The result is kept, for `message.get_result()`.
    store_results: bool
    #: Milliseconds that an attempt may take.
    time_limit: float


class ActorOptions(JobOptions, total=False):
    """Every option that `@actor` takes for a guard, or for Dramatiq's own middleware."""

    #: Name of the actor that is sent what failed.
    on_failure: str
    #: Name of the actor that is sent what succeeded.
    on_success: str
    #: When it runs by itself: `cron("0 4 * * *")`.
    periodic: CronSchedule
    #: How often it starts, or is sent, for one org: `Rate(20, per="1m")`.
    rate: Rate
    #: Given the number of retries and the exception: whether to try again. Instead of `max_retries`.
    retry_when: Callable[[int, BaseException], bool]
    #: Exceptions after which there is no other attempt.
    throws: type[BaseException] | tuple[type[BaseException], ...]
    #: From each earlier version of the contract to the next: `{1: from_1_to_2}`.
    upcasters: Mapping[int, Upcaster]


class MessageOptions(JobOptions, total=False):
    """Every option that one message may carry."""

    #: Milliseconds since 1970, after which no attempt begins or goes on.
    expires_at: float
    #: The actor that is sent the message if it fails, or its name.
    on_failure: "str | Actor[..., Any]"
    #: The actor that is sent the message and its result, or its name.
    on_success: "str | Actor[..., Any]"
    #: Whose it is.
    org: str
    #: Instead of the actor's; lower goes first.
    priority: int
    #: Where it has to run.
    region: str


if TYPE_CHECKING:

    class TypedActor(Actor[P, R]):
        """Dramatiq's `Actor`; its messages' options are typed."""

        def message_with_options(  # type: ignore[override]  # misspelt is an error: that is the point
            self,
            *,
            args: tuple[object, ...] = (),
            kwargs: dict[str, object] | None = None,
            **options: Unpack[MessageOptions],
        ) -> Message[R]: ...

        def send_with_options(  # type: ignore[override]
            self,
            *,
            args: tuple[object, ...] = (),
            kwargs: dict[str, object] | None = None,
            delay: timedelta | int | None = None,
            **options: Unpack[MessageOptions],
        ) -> Message[R]: ...

    class ContractActor(TypedActor[[ModelT], R], Generic[ModelT, R]):
        """Dramatiq's `Actor` of a function that takes one model, and is sent one or a mapping that fits it."""

        def message(self, payload: ModelT | Mapping[str, object], /) -> Message[R]: ...

        def message_with_options(  # type: ignore[override]
            self, *, args: tuple[ModelT | Mapping[str, object]], **options: Unpack[MessageOptions]
        ) -> Message[R]: ...

        def send(self, payload: ModelT | Mapping[str, object], /) -> Message[R]: ...

        def send_with_options(  # type: ignore[override]
            self,
            *,
            args: tuple[ModelT | Mapping[str, object]],
            delay: timedelta | int | None = None,
            **options: Unpack[MessageOptions],
        ) -> Message[R]: ...

else:
    TypedActor = ContractActor = Actor


class ActorDecorator(Protocol):
    """What `@actor(...)` is before it has its function."""

    @overload
    def __call__(self, fn: Callable[[ModelT], Awaitable[R]]) -> ContractActor[ModelT, R]: ...

    @overload
    def __call__(self, fn: Callable[[ModelT], R]) -> ContractActor[ModelT, R]: ...

    @overload
    def __call__(self, fn: Callable[P, Awaitable[R]]) -> TypedActor[P, R]: ...

    @overload
    def __call__(self, fn: Callable[P, R]) -> TypedActor[P, R]: ...


@overload
def actor(fn: Callable[[ModelT], Awaitable[R]]) -> ContractActor[ModelT, R]: ...


@overload
def actor(fn: Callable[[ModelT], R]) -> ContractActor[ModelT, R]: ...


@overload
def actor(fn: Callable[P, Awaitable[R]]) -> TypedActor[P, R]: ...


@overload
def actor(fn: Callable[P, R]) -> TypedActor[P, R]: ...


@overload
def actor(
    *,
    actor_name: str | None = None,
    queue_name: str = "default",
    priority: int = 0,
    broker: Broker | None = None,
    **options: Unpack[ActorOptions],
) -> ActorDecorator: ...


def actor(fn: Callable[..., object] | None = None, **options: object) -> object:
    """Declare an actor exactly as `dramatiq.actor` does; a type checker sees every option and payload.

    A misspelt option, a payload of another model or a wrong type of argument is an error before anything runs. An
    option of a middleware of your own is one too: declare such an actor with `dramatiq.actor`.

    Parameters:
      actor_name: Default the function's name.
      queue_name: Default "default".
      priority: Lower goes first. Default 0.
      broker: Default Dramatiq's global one.
      options: See `ActorOptions`.

    Raises:
      ValueError: the broker has no middleware for an option, or an actor of this name.

    Example:
      >>> @actor(rate=Rate(20, per="1s"), max_retries=3)
      ... def resize(job: Resize) -> None: ...
      >>> resize.send(Resize(image_id=7)), resize.send({"image_id": 7})
    """
    declare = cast("Callable[..., object]", dramatiq.actor)
    return declare(fn, **options)
