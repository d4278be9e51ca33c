"""Errors as chat providers and the gateways before them report them: by status, or in the body of a 200."""

import json
import re
from dataclasses import dataclass

from adapters.net.http import MAX_RETRY_AFTER_S
from domain.errors import AuthFailed, InvalidReply, JobError, ProviderUnavailable, QuotaExhausted

_STATUS_KEYS = ("code", "status", "status_code", "statusCode", "http_status", "http_code")
_WORD_KEYS = ("code", "type", "status", "param", "reason", "message", "msg", "detail", "error", "title")
#: Fields in which a completion says something. A body that has none may be an error as a whole.
_ANSWERS = ("choices", "usage")

_QUOTA = re.compile(
    r"insufficient[\s_-]*(quota|balance|funds|credit)|billing|payment[\s_-]*required|current quota|"
    r"quota[\s_-]*(exhausted|used up)|credit[\s_-]*(balance|limit)|(out of|no|not enough|more) credits|in arrears",
)
#: With these in the same breath it is a limit that passes by itself, although a quota or a bill is named, too.
_RATE = re.compile(r"rate[\s_-]*limit|too many requests|throttl|resource[\s_-]*exhausted|per (second|minute)")
_REFUSED = re.compile(r"\bauth|unauthor|api[\s_-]*key|permission|forbidden|access denied")
_WRONG = re.compile(
    r"invalid|not[\s_-]*found|unknown|unsupported|not supported|bad request|required|does not exist"
)
_DOWN = re.compile(r"overload|unavailable|server[\s_-]*error|internal|upstream|gateway|timed? ?out|capacity")
_FORM = re.compile(r"response[\s_-]*format|json[\s_-]*schema|guided|grammar")
#: Statuses by which a provider refuses a request's form, and causes that another form does not change.
_REFUSES_FORM = frozenset({400, 415, 422, 501})
_OTHER_CAUSE = re.compile(r"context[\s_-]*length|content[\s_-]*(filter|policy)|model[\s_-]*not[\s_-]*found")
_STATUS = re.compile(r"\b([45]\d\d)\b")


@dataclass(frozen=True, kw_only=True)
class ReportedError:
    """An error that a body speaks of."""

    #: What would have been its status.
    status: int
    #: What was said, in lower case: to look for causes in, never to be quoted.
    words: str
    retry_after_s: float | None = None

    @property
    def is_about_money(self) -> bool:
        """True if the account has no quota or credit left, which no waiting changes."""
        if self.status == 402:
            return True
        return _QUOTA.search(self.words) is not None and _RATE.search(self.words) is None

    @property
    def refuses_form(self) -> bool:
        """True if the same might be taken when it is asked for in another form."""
        if self.is_about_money or _OTHER_CAUSE.search(self.words):
            return False
        return self.status in _REFUSES_FORM or (self.status >= 500 and _FORM.search(self.words) is not None)

    def as_error(self, host: str) -> JobError:
        """The error it is, as if its status had been the reply's.

        Parameters:
            host: who reported it.
        """
        if self.is_about_money:
            return QuotaExhausted(
                f"{host} says that the account's quota or credit is used up; see to its plan and bills"
            )
        what = f"{host} reported an error {self.status}"
        if self.status in (401, 403):
            return AuthFailed(f"{what}; check the credentials and what they are allowed to do")
        if self.status in (408, 429) or self.status >= 500:
            return ProviderUnavailable(
                f"{what}; try again later, or look at its status page", retry_after_s=self.retry_after_s
            )
        return InvalidReply(f"{what}; check the address and the request's settings")


def reported_error(body: bytes, status: int | None = None) -> ReportedError | None:
    """The error that a body speaks of; None when it speaks of none.

    Parameters:
        body: the whole reply.
        status: the reply's own, if it was an error by that. Default None: a body that says no status has its words
            looked at.

    Example:
        >>> reported_error(b'{"error": {"code": 429}}').status
        429
    """
    try:
        value = json.loads(body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        value = body[:2_000].decode("utf-8", "replace") if status is not None else None
    error = _error_in(value)
    if error is None:
        return None if status is None else ReportedError(status=status, words=_words(value))
    words = _words(error)
    found = status or _status(error) or _status_of(words)
    return ReportedError(status=found, words=words, retry_after_s=_retry_after_s(error))


def _error_in(value: object) -> object | None:
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict):
        return None
    errors = value.get("errors")
    choices = value.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    found: tuple[object, ...] = (
        value.get("error"),
        errors[0] if isinstance(errors, list) and errors else None,
        choice.get("error") if isinstance(choice, dict) else None,
    )
    for error in found:
        if error:
            return error
    is_error = value.get("object") == "error" or value.get("type") == "error"
    is_answer = any(value.get(name) for name in _ANSWERS)
    return value if is_error or (not is_answer and (_status(value) or value.get("detail"))) else None


def _status(error: object) -> int | None:
    if not isinstance(error, dict):
        return None
    for value in (error.get(name) for name in _STATUS_KEYS):
        text = str(value)
        if len(text) == 3 and text.isascii() and text.isdecimal() and text[0] in "45":
            return int(text)
    return _status(error.get("error"))


def _status_of(words: str) -> int:
    for pattern, status in ((_QUOTA, 402), (_RATE, 429), (_REFUSED, 401), (_DOWN, 503), (_WRONG, 400)):
        if pattern.search(words) and not (status == 402 and _RATE.search(words)):
            return status
    named = _STATUS.search(words)
    # Whoever says 200 and speaks of an error has most often passed on what somebody behind it said.
    return int(named[1]) if named is not None else 502


def _words(error: object, depth: int = 0) -> str:
    if isinstance(error, dict) and depth < 3:
        return " ".join(_words(error[name], depth + 1) for name in _WORD_KEYS if name in error)
    return str(error)[:2_000].casefold() if isinstance(error, str | int) else ""


def _retry_after_s(error: object) -> float | None:
    if not isinstance(error, dict):
        return None
    metadata = error.get("metadata")
    for each in (error, metadata):
        value = each.get("retry_after") if isinstance(each, dict) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_RETRY_AFTER_S:
            return float(value)
    return None
