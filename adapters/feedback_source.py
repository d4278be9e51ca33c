"""The source of feedback that `sync` asks: an HTTP service that pages through an entity's events."""

import json
import re
from datetime import UTC
from typing import Annotated

import httpx
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from domain.errors import InvalidReply
from domain.feedback import FeedbackEvent, FeedbackPage, FeedbackQuery

from .net.http import HttpExchange, raise_for_refusal

#: Events on one page.
MAX_PAGE_EVENTS = 1_000
#: Characters of a cursor.
MAX_CURSOR_CHARS = 2_000

#: Digits of a number that something can be done with.
_MAX_DIGITS = 300
#: Ids that can be repeated in a reason as they are.
_SHORT_ID = re.compile(r"[A-Za-z0-9._:/-]{1,60}")


class HttpFeedbackSource:
    """`domain.feedback.FeedbackSource` over HTTP.

    Asks `GET <base_url>/events?org_id=&entity_type=&entity_id=&since=&cursor=`; the first page goes without cursor.
    The reply is `{"events": [...], "next_cursor": "..."}`, events as in a job of `feedback_ingest`, at most 1,000 on
    a page, and no cursor, null or an empty one, on the last one. Fields that are not known are passed over, and
    numbers are taken for ids and cursors. An event that breaks a rule is set aside with its reason, and the rest of
    its page and the pages after it are read. Asking twice does no harm, so outages are retried as `HttpExchange`
    does. The token appears in no error, log or repr.

    Parameters:
        exchange: sends the requests.
        base_url: where the service begins, `https://feedback.example.com/v1`.
        token: sent as a bearer token; None for services without one.

    Raises:
        ValueError: a setting cannot work. The message never holds the token.

    Example:
        >>> HttpFeedbackSource(exchange, base_url="https://feedback.example.com", token=None).events(
        ...     query, timeout_s=30
        ... ).next_cursor
    """

    def __init__(self, exchange: HttpExchange, *, base_url: str, token: SecretStr | None) -> None:
        self._exchange = exchange
        self._url = _endpoint(base_url)
        self._headers = {"Accept": "application/json", **_authorization(token)}

    def events(self, query: FeedbackQuery, *, timeout_s: float | None) -> FeedbackPage:
        """See `FeedbackSource.events`."""
        asked = {
            "org_id": str(query.org_id),
            "entity_type": query.entity.type,
            "entity_id": query.entity.id,
            "since": query.since.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        }
        if query.cursor is not None:
            asked["cursor"] = query.cursor
        reply = self._exchange.send(
            httpx.Request("GET", self._url, params=asked, headers=self._headers),
            timeout_s=timeout_s,
            repeatable=True,
        )
        raise_for_refusal(reply, self._url.host)
        return read_page(reply.body, self._url.host)


def read_page(body: bytes, host: str) -> FeedbackPage:
    """Read a reply; an event that breaks a rule is set aside.

    Parameters:
        body: the whole of it.
        host: who sent it.

    Raises:
        InvalidReply: it is no page. Nothing of it is quoted.

    Example:
        >>> read_page(b'{"events": [7], "next_cursor": "p2"}', "example.com").set_aside
        ('event 1 of its page: it: model_type',)
    """
    try:
        # Bytes and numbers that cannot be spoil one event, not the page.
        page = _Page.model_validate(json.loads(body.decode("utf-8-sig", "replace"), parse_int=_number))
    except ValidationError as error:
        fault = _where(error)
    except (ValueError, RecursionError):
        fault = "it: json_invalid"
    else:
        read = [_read(number, event) for number, event in enumerate(page.events, start=1)]
        return FeedbackPage(
            events=[event for event in read if isinstance(event, FeedbackEvent)],
            next_cursor=page.next_cursor or None,
            set_aside=tuple(reason for reason in read if isinstance(reason, str)),
        )
    raise InvalidReply(f"{host} sent feedback that cannot be used: {fault}; see how replies are described")


def _read(number: int, event: object) -> FeedbackEvent | str:
    """The event, or why it cannot be used."""
    name = f"event {number} of its page"
    if isinstance(event, dict):
        identity = _as_text(event.get("event_id"))
        event = {**event, "event_id": identity}
        if isinstance(identity, str) and _SHORT_ID.fullmatch(identity):
            name = f"event {identity}"
    try:
        # In JSON's mode times are text, as they were sent.
        return FeedbackEvent.model_validate(_Event.model_validate_json(json.dumps(event)).model_dump())
    except ValidationError as error:
        return f"{name}: {_where(error)}"


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float("nan")


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class _Event(FeedbackEvent):
    # A remote service may grow fields before we do; those we know are held to the contract's own bounds.
    model_config = ConfigDict(extra="ignore")


class _Page(BaseModel):
    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    events: Annotated[list[object], Field(max_length=MAX_PAGE_EVENTS)]
    next_cursor: Annotated[str, BeforeValidator(_as_text), Field(max_length=MAX_CURSOR_CHARS)] | None = None


def _endpoint(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        raise ValueError("base_url is not a URL; it should look like https://feedback.example.com") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("base_url must begin with http:// or https:// and name a host")
    if url.userinfo or url.query or url.fragment:
        raise ValueError("base_url may hold no credentials, query or fragment; the token is set by itself")
    return url.copy_with(path=url.path.rstrip("/") + "/events")


def _authorization(token: SecretStr | None) -> dict[str, str]:
    if token is None:
        return {}
    value = token.get_secret_value()
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        # Found here, it is not quoted by whoever fails to send it.
        raise ValueError("token is empty or no header can carry it; look for a stray space or line break")
    return {"Authorization": f"Bearer {value}"}


def _where(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'it'}: {first['type']}"
