"""What WordPress takes out of the texts of users who may not write any HTML they like."""

import re
from collections import Counter

#: Elements that every author may use, as `wp_kses_allowed_html( 'post' )` has them.
_HARMLESS = frozenset(
    re.findall(
        r"\S+",
        """
        a abbr acronym address area article aside audio b bdo bdi big blockquote br button caption center
        cite code col colgroup data dd del details dfn dir div dl dt em fieldset figcaption figure font
        footer h1 h2 h3 h4 h5 h6 header hgroup hr i img ins kbd label legend li main map mark menu nav
        ol p picture pre q rb rp rt rtc ruby s samp section small source span strike strong sub summary
        sup table tbody td tfoot th thead time title tr track tt u ul var video wbr
        """,
    )
)

# Each looks a bounded way ahead: texts are tenants' own.
_ELEMENT = re.compile(r"<([a-zA-Z][a-zA-Z0-9-]{0,30})(?=[\s/>])")
_HANDLER = re.compile(r"[\s/\"'](on[a-zA-Z]{2,30})\s{0,20}=")
_SCHEME = re.compile(r"=\s{0,20}[\"']?\s{0,20}javascript:", re.IGNORECASE)

#: What a warning names at most.
MAX_NAMED = 8


def scripted(text: str) -> Counter[str]:
    """Elements, event handlers and addresses of a text that only some users may write, by name, with their number.

    Example:
        >>> scripted('<p onclick="x()">Hi</p><script>x()</script>')
        Counter({'script': 1, 'onclick': 1})
    """
    names = [name.lower() for name in _ELEMENT.findall(text)]
    found = Counter(name for name in names if name not in _HARMLESS)
    found.update(name.lower() for name in _HANDLER.findall(text))
    addresses = len(_SCHEME.findall(text))
    if addresses:
        found["javascript:"] = addresses
    return found


def taken_out(sent: str, kept: str) -> list[str]:
    """Names of what was sent and is not there any more."""
    return sorted(scripted(sent) - scripted(kept))[:MAX_NAMED]
