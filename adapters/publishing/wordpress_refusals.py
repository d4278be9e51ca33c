"""What refusals of WordPress mean, and what to do about them. The site's own words are never quoted."""

from collections.abc import Mapping

import httpx

from adapters.net.http import raise_for_refusal
from adapters.net.replies import HttpReply
from domain.errors import AuthFailed, InvalidReply

from .wordpress_replies import Refusal, read
from .wordpress_root import is_same_host

#: Said of every 401 whose name tells no more: to WordPress a wrong password is as good as none.
NOBODY = (
    "it recognised nobody: check the user name and the application password (make a new one in the user's profile), "
    "that application passwords are not switched off there (no https, a plugin), and that its web server hands the "
    "Authorization header on (Apache with CGI needs `CGIPassAuth On`)"
)
NO_API = (
    "no REST API of WordPress was found there; check that the address is the site's own, and that its REST API is "
    "switched on and not closed by a plugin or a firewall"
)
NO_ROUTE = "its REST API has no such route; a plugin may have switched off posts, users or media there"

#: What names say that only plugins and older versions send.
_UNRECOGNISED: Mapping[str, str] = {
    "incorrect_password": "the application password is wrong or was revoked; make a new one in the user's profile",
    "invalid_username": "it has no such user; check the user name",
    "invalid_email": "it has no such user; check the user name",
    "application_passwords_disabled": "application passwords are switched off there; switch them on",
    "application_passwords_disabled_for_user": "this user may not have application passwords; allow them there",
}
_ROLES: Mapping[str, str] = {
    "rest_cannot_create": "the user may not create this; make them an Author or Editor",
    "rest_cannot_publish": "the user may not publish; make them an Author or Editor",
    "rest_cannot_edit": "the user may not change this post; make them an Editor",
    "rest_cannot_delete": "the user may not remove this draft; make them an Editor",
    "rest_forbidden_context": "the user may not see drafts; make them an Author or Editor",
    "rest_forbidden_status": "the user may not see drafts; make them an Author or Editor",
    "rest_forbidden": "the user may not do this; make them an Author or Editor",
    "rest_cannot_edit_others": "the user may not publish in another's name; make them an Editor",
    "rest_cannot_access": "a plugin closes the REST API to this user; let them in there",
}
#: Our own parameters, which may be named in an error.
_PARAMS = frozenset(
    {
        *("slug", "status", "context", "orderby", "order", "per_page", "page", "title", "content", "excerpt"),
        *("categories", "tags", "author", "date_gmt", "featured_media", "search", "name"),
    }
)


def raise_for_refused(reply: HttpReply, site: httpx.URL) -> None:
    """Turn every status but 2xx into the error that it stands for.

    Parameters:
        reply: what was answered.
        site: who answered.

    Raises:
        AuthFailed: nobody was recognised, or somebody who may not do this; also where that is the reason why a
            parameter was refused.
        InvalidReply: any other refusal, or a redirect that was not followed.
    """
    if reply.is_success:
        return
    host = site.host
    refusal = read(Refusal, reply) or Refusal()
    for code, status in refusal.reasons(reply.status):
        if status == 401 and code:  # without a name it is not WordPress that asks for a password
            hint = _UNRECOGNISED.get(code, NOBODY)
            raise AuthFailed(f"{host} answered {reply.status}{_named(code)}: {hint}")
        if status == 403 and (code in _ROLES or code in _UNRECOGNISED):
            hint = _ROLES.get(code) or _UNRECOGNISED[code]
            raise AuthFailed(f"{host} answered {reply.status} ({code}): {hint}")
    if 300 <= reply.status < 400 and _stays(reply, site):
        raise InvalidReply(
            f"{host} answered {reply.status}, a redirect to another path of the same host, where nothing that changes "
            "something is sent; give the target the address that its redirects lead to"
        )
    if reply.status == 404:
        raise InvalidReply(f"{host} answered 404: {NO_ROUTE if refusal.code == 'rest_no_route' else NO_API}")
    if reply.status == 413:
        raise InvalidReply(f"{host} answered 413: the post is too large for it; raise its web server's limit")
    params = sorted(refusal.params & _PARAMS)
    if refusal.code == "rest_invalid_param" and params:
        raise InvalidReply(
            f"{host} answered {reply.status}: it does not take our {', '.join(params)}; look for a plugin that changes "
            "what its REST API takes"
        )
    raise_for_refusal(reply, host)


def _stays(reply: HttpReply, site: httpx.URL) -> bool:
    try:
        target = site.join(reply.headers.get("Location", ""))
    except httpx.InvalidURL:
        return False
    return target.scheme == site.scheme and is_same_host(site, target)


def _named(code: str) -> str:
    return f" ({code})" if code in _UNRECOGNISED or code in _ROLES or code == "rest_not_logged_in" else ""
