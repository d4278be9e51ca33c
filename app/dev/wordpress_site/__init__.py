"""A site on loopback that speaks WordPress's REST API for posts: what tests and the demo publish to.

Routes, statuses, error bodies, slugs, drafts, trash, paging and permalinks are those of WordPress itself; nothing is
kept on disk. It can be told to be slow, to refuse, to talk nonsense, and to close connections.
"""

from .faults import Answer, Fault, HangUp, Hold, Operation
from .front import Permalinks
from .library import SiteMedia, SiteTerm
from .server import WordPressSite, wordpress_site
from .store import SitePost, SiteUser

__all__ = [
    "Answer",
    "Fault",
    "HangUp",
    "Hold",
    "Operation",
    "Permalinks",
    "SiteMedia",
    "SitePost",
    "SiteTerm",
    "SiteUser",
    "WordPressSite",
    "wordpress_site",
]
