"""Publishing to a remote service that may answer late, twice or never: what the saga and its adapters agree on."""

from dataclasses import dataclass, field
from typing import Literal, Protocol
from uuid import UUID

from pydantic import Field

from .contract import Model
from .post_details import PostDetails

#: Characters of a post's id and address at the remote service that are kept; a longer address is not.
MAX_EXTERNAL_ID_CHARS = 512
MAX_URL_CHARS = 2048
#: Warnings of one publish that are kept, and characters of each.
MAX_WARNINGS = 10
MAX_WARNING_CHARS = 500

#: What kinds of remote service there are.
AdapterName = Literal["wordpress", "webhook"]


class RetryOptions(Model):
    """How often, and after how long, one call of the remote service is made again within an attempt."""

    retries: int = Field(default=3, ge=0, le=5)
    """Calls after the first, where calling again does no harm."""
    backoff_ms: int = Field(default=1_000, ge=100, le=30_000)
    """Milliseconds before the first of them; each further wait is twice as long."""


@dataclass(frozen=True, kw_only=True)
class Post:
    """What is to be published."""

    #: Names the post at the remote service: lower-case letters, digits and hyphens, the same for every attempt.
    key: str
    title: str
    body: str
    details: PostDetails = field(default_factory=PostDetails)


@dataclass(frozen=True, kw_only=True)
class PublishTarget:
    """Where to. The credentials are as the database keeps them: encrypted."""

    target_id: UUID
    adapter: AdapterName
    address: str
    credentials: bytes


@dataclass(frozen=True, kw_only=True)
class Found:
    """A post that the remote service has under a key."""

    external_id: str
    url: str | None
    #: Whether readers see it; False for a draft.
    is_public: bool
    #: What the remote service made otherwise than it was asked, for people.
    warnings: tuple[str, ...] = ()


class Journal(Protocol):
    """The saga's memory, kept under its lease."""

    @property
    def draft_id(self) -> str | None:
        """The draft that an earlier call made, as far as it was remembered."""

    def hold(self) -> float:
        """Prove that the lease is still ours and renew it, right before a call that has effects.

        Returns:
            Seconds that the call may take, retries included: less than the lease, and than the job has left.

        Raises:
            LeaseLost: another worker has the job by now; nothing may be done any more.
        """

    def remember(self, draft_id: str) -> None:
        """Commit a draft's id before anything else is done with it.

        Raises:
            LeaseLost: as `hold`, or the draft was disowned. Whoever made it removes it, if `disown` allows.
        """

    def disown(self, draft_id: str) -> bool:
        """Ask, right before a draft is removed for whatever reason, whether it may be; also after LeaseLost.

        A worker that was frozen after it had made a draft cannot know that another has found and published it
        meanwhile. Adopting and disowning exclude each other in the database: what is disowned is never remembered.

        Returns:
            True: nobody uses it, nobody ever will. False: it is in use; it has to stay.
        """


class Publisher(Protocol):
    """A target, reached with its credentials.

    Both methods raise ProviderUnavailable (worth another attempt; `retry_after_s` when the service named a time),
    AuthFailed, InvalidReply or InvalidInput. Neither text ever quotes a credential or a body.
    """

    def find(self, post: Post, journal: Journal) -> Found | None:
        """The post that the remote service has under this key; asked when an earlier attempt left no outcome.

        A public post comes before any draft. Of several drafts the remembered one stays, or else the oldest; the
        others are removed where `journal.disown` allows. None also where the remote service cannot be asked, because
        it recognises the key of a repeated call itself. `journal.hold` bounds the call.

        Raises:
            LeaseLost: see `Journal`.
        """

    def publish(self, post: Post, journal: Journal) -> Found:
        """Make the post public, once for its key however often this is called, and tell where it is.

        Raises:
            LeaseLost: see `Journal`; a draft that was made, could not be remembered and is nobody's by now has
                been removed.
        """


class Publishers(Protocol):
    """Finds the way to a remote service."""

    def __call__(self, target: PublishTarget, retry: RetryOptions) -> Publisher:
        """A publisher for the target.

        Raises:
            AuthFailed: its credentials cannot be decrypted with any key we have.
            InvalidInput: its address may not be called.
        """
