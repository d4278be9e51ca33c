"""What an object store's failures mean to a job.

The library's messages quote requests and replies in full, in which a store may repeat tokens. So none of their
text goes on; the few words that tell an operator what happened are picked out.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError, InvalidPathError, PermissionDeniedError, UnauthenticatedError

from domain.errors import AuthFailed, InvalidInput, JobError, StorageUnavailable

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_REFUSALS = frozenset({"400", "401", "403", "405", "501"})
_NO_REPLY = re.compile(r"kind: (Connect|Timeout|Request|Interrupted)\b")


@contextmanager
def mapped_errors(store: str, *, missing: JobError | None = None) -> Iterator[None]:
    """Map the library's errors inside the block to the domain's.

    Parameters:
        store: how messages call the store.
        missing: raised when the object is not there. Default: an error that says the bucket is not there,
            since whoever writes needs nothing else to exist.
    """
    try:
        yield
    except FileNotFoundError as error:
        if missing is not None and "NoSuchBucket" not in str(error):
            raise missing from None
        raise InvalidInput(f"{store} does not exist; create it or correct its name") from None
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise AuthFailed(
            f"{store} refuses our credentials ({_what_happened(error)}); check the key id, the secret and what "
            "they may do there"
        ) from None
    except (InvalidPathError, ValueError):
        raise InvalidInput(f"{store} cannot hold an object of that name; choose a plainer one") from None
    except (BaseError, OSError) as error:
        raise StorageUnavailable(
            f"{store} did not do its part ({_what_happened(error)}); check that it is up, has room and is "
            "reachable from the worker"
        ) from None


def is_refusal(error: BaseError) -> bool:
    """True if the store answered, and refuses to do what it was asked: another way to ask may be open."""
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return True
    found = _STATUS.search(str(error))
    return found is not None and found[1] in _REFUSALS


def _what_happened(error: Exception) -> str:
    text = str(error)
    found = [match[1] for match in (_STATUS.search(text), _CODE.search(text)) if match]
    if not found and _NO_REPLY.search(text):
        return "no reply"
    return " ".join(found) or type(error).__name__
