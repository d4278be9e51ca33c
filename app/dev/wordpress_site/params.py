"""Parameters of requests, checked as WordPress checks them."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from starlette.requests import Request

from .replies import Refusal, forbidden, invalid_param
from .store import UNIQUE, More, SiteUser

_STATUSES = ("publish", "future", "draft", "pending", "private")
_LISTED = (*_STATUSES, "trash", "any")


async def json_fields(request: Request) -> Mapping[str, object]:
    """The body, a JSON object; empty when there is none."""
    try:
        fields = json.loads(await request.body() or b"{}")
    except ValueError:
        raise Refusal(400, "rest_invalid_json", "Invalid JSON body passed.", json_error_code=4) from None
    return fields if isinstance(fields, dict) else {}


def text(fields: Mapping[str, object], name: str) -> str | None:
    """A text given as it is or as `{"raw": ...}`."""
    given = fields.get(name)
    if isinstance(given, dict):
        given = given.get("raw")
    if given is not None and not isinstance(given, str):
        raise invalid_param(
            name, f"{name} is not of type string.", code="rest_invalid_type", data={"param": name}
        )
    return given


def slug_of(fields: Mapping[str, object]) -> str | None:
    """A slug, made of what slugs are made of."""
    slug = text({"slug": fields.get("slug")}, "slug")
    return slug and re.sub(r"[^a-z0-9_-]+", "-", slug.lower()).strip("-")


def status_of(fields: Mapping[str, object], user: SiteUser, *, before: str | None = None) -> str | None:
    """The status asked for; None for none or the one it has."""
    status = fields.get("status")
    if status is None or status == before:
        return None
    if status not in _STATUSES:
        raise invalid_param(
            "status", f"status is not one of {', '.join(_STATUSES)}.", code="rest_not_in_enum", data=None
        )
    if status in UNIQUE and not user.may_publish:
        raise forbidden(
            user, "rest_cannot_publish", "Sorry, you are not allowed to publish posts in this post type."
        )
    return str(status)


def author_of(fields: Mapping[str, object], user: SiteUser, users: Iterable[SiteUser]) -> str:
    """Whose post it is to be: the user's own, unless they may name another."""
    wanted = fields.get("author")
    if wanted is None:
        return user.name
    named = {number: each.name for number, each in enumerate(users, 1)}.get(_number(wanted))
    if named is None:
        raise Refusal(400, "rest_invalid_author", "Invalid author ID.")
    if named != user.name and "edit_others_posts" not in user.capabilities:
        raise forbidden(
            user, "rest_cannot_edit_others", "Sorry, you are not allowed to create posts as this user."
        )
    return named


def more_of(fields: Mapping[str, object]) -> More:
    """Excerpt, categories, tags, featured media and date of a new post."""
    given = text(fields, "date_gmt")
    return More(
        excerpt=text(fields, "excerpt") or "",
        categories=_numbers(fields.get("categories")) or (1,),
        tags=_numbers(fields.get("tags")),
        featured_media=_number(fields.get("featured_media")),
        date=None if given is None else datetime.fromisoformat(given).replace(tzinfo=UTC),
    )


def _numbers(given: object) -> tuple[int, ...]:
    return tuple(map(_number, given)) if isinstance(given, list) else ()


def _number(given: object) -> int:
    return given if isinstance(given, int) else 0


def statuses_of(given: Sequence[str], user: SiteUser | None) -> frozenset[str]:
    """The statuses whose posts are listed."""
    wanted = names(given) or ["publish"]
    for each in wanted:
        if each == "publish":
            continue
        if not (user and user.may_edit):
            raise invalid_param(
                "status",
                "Status is forbidden.",
                code="rest_forbidden_status",
                data={"status": 401 if user is None else 403},
            )
        if each not in _LISTED:
            raise invalid_param(
                "status", f"status[0] is not one of {', '.join(_LISTED)}.", code="rest_not_in_enum"
            )
    return frozenset(_STATUSES if "any" in wanted else wanted)


def names(given: Sequence[str]) -> list[str]:
    """Names in lists, with commas or spaces between them."""
    return [name for each in given for name in re.split(r"[\s,]+", each) if name]


def whole(name: str, given: str, least: int, most: int | None) -> int:
    """A whole number within bounds."""
    if not re.fullmatch(r"-?[0-9]{1,9}", given):
        raise invalid_param(
            name, f"{name} is not of type integer.", code="rest_invalid_type", data={"param": name}
        )
    number = int(given)
    if number < least or (most is not None and number > most):
        bounds = (
            f"must be greater than or equal to {least}"
            if most is None
            else f"must be between {least} (inclusive) and {most} (inclusive)"
        )
        raise invalid_param(name, f"{name} {bounds}", code="rest_out_of_bounds")
    return number


def one_of(name: str, given: str, known: Sequence[str]) -> str:
    """Read a parameter that is one of a few words."""
    if given not in known:
        raise invalid_param(name, f"{name} is not one of {', '.join(known)}.", code="rest_not_in_enum")
    return given


def is_edit(request: Request) -> bool:
    """True if the raw texts are asked for."""
    return one_of("context", request.query_params.get("context", "view"), ("view", "embed", "edit")) == "edit"
