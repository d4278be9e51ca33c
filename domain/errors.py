"""Every way a job can fail, as one small tree.

    JobError                      category, retryable
    ├── PermanentError            the same input fails the same way: never retried
    │   ├── NotFound              not there, or another org's: the caller cannot tell which
    │   ├── InvalidInput          the request asks for something that cannot be done
    │   │   └── UnsafePath        a path or key that leaves the place exports may go
    │   ├── SizeLimitExceeded     the result would pass a documented limit
    │   ├── InvalidReply          a remote service answered, twice, with something unusable
    │   ├── AuthFailed            a remote service refused our credentials
    │   │   └── QuotaExhausted    the account or the org has no quota or credit left
    │   └── Cancelled             somebody asked for this job to stop
    └── RetryableError            the world may look better in a moment
        ├── DatabaseUnavailable   lost connection, deadlock, serialization failure, time-out
        ├── ProviderUnavailable   connection refused, time-out, 408, 429 or 5xx of a remote service
        ├── StorageUnavailable    the object store or the file system did not take the bytes
        ├── LeaseHeld             another worker does this work; it is waited for, without using a retry
        ├── LeaseLost             another worker took this work over; nothing more may be done here
        └── DeadlineExceeded      the job's own time is used up

`category` and `retryable` are plain attributes, so that retry policies read them without importing this
module. Messages say what to do about it and never carry a secret.
"""

from typing import ClassVar, Literal

#: What kind of fault it was; the seed's six, plus what only guards can say.
Category = Literal["network", "auth", "validation", "timeout", "database", "unknown", "cancelled"]


class JobError(Exception):
    """A job failed in a way this system knows by name."""

    category: ClassVar[Category] = "unknown"
    retryable: ClassVar[bool] = False


class PermanentError(JobError):
    """Trying again with the same input cannot help."""

    category: ClassVar[Category] = "validation"


class NotFound(PermanentError):
    """The thing does not exist for this org. Another org's thing is reported in exactly the same words."""

    def __init__(self, kind: str, identity: object) -> None:
        super().__init__(f"{kind} {identity} not found; check the id and that it belongs to this org")


class InvalidInput(PermanentError):
    """The request is well-formed and still asks for something that cannot be done."""


class UnsafePath(InvalidInput):
    """A destination path or object key points outside the place exports may be written to."""


class SizeLimitExceeded(PermanentError):
    """The result would be larger than a documented limit allows."""


class InvalidReply(PermanentError):
    """A remote service answered with something that does not parse, also when asked once more."""


class AuthFailed(PermanentError):
    """A remote service refused the credentials it was given."""

    category: ClassVar[Category] = "auth"


class QuotaExhausted(AuthFailed):
    """No quota or credit is left, and waiting a moment brings none: somebody has to act, or a new day to begin."""


class Cancelled(PermanentError):
    """The job was asked to stop and did, between two steps."""

    category: ClassVar[Category] = "cancelled"


class RetryableError(JobError):
    """The same input may well succeed a little later."""

    retryable: ClassVar[bool] = True


class DatabaseUnavailable(RetryableError):
    """The database could not do the unit of work, also after it was tried again as a whole."""

    category: ClassVar[Category] = "database"


class ProviderUnavailable(RetryableError):
    """A remote service cannot be reached, is overloaded, or reports a fault of its own.

    Parameters:
        message: what happened and what to do about it.
        retry_after_s: seconds after which the remote service itself asked to be tried again. None when it did not.
    """

    category: ClassVar[Category] = "network"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StorageUnavailable(RetryableError):
    """An object store or file system did not take the bytes."""

    category: ClassVar[Category] = "network"


class LeaseHeld(RetryableError):
    """Another worker does this work.

    Parameters:
        message: what it is about.
        wait_s: seconds until its lease ends, if it is not renewed.
    """

    def __init__(self, message: str, *, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class LeaseLost(RetryableError):
    """The lease on this work ran out and another worker took it over; its fence refuses our writes."""


class DeadlineExceeded(RetryableError):
    """The job's time limit is used up."""

    category: ClassVar[Category] = "timeout"
