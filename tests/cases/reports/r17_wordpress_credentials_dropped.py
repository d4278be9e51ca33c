"""When the web server drops the Authorization header, publishing says so, and not "make them an Author or Editor".

Apache with CGI or FastCGI, and proxies, drop it; WordPress then sees nobody and answers 401 with the code
`rest_forbidden_context` (or `rest_cannot_create`).

Right: a 401 means that nobody was recognised, whatever the code says; only 403 is about the role.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.cases.http_servers import Reply, Request
from tests.cases.kit import in_short, verdict
from tests.cases.wordpress_front import Forward, trial

#: One of these is in the advice.
CURES = ("ignored the credentials", "recognised")


def main() -> list[str]:
    """What is wrong."""
    tried = trial(_dropped)
    print(f"check: {tried.check}\npublish: {in_short(tried.publish)}")
    is_right = any(cure in str(tried.publish) for cure in CURES)
    return [] if is_right else ["the advice of publishing"]


def _dropped(asked: Request, forward: Forward) -> Reply:
    return forward(
        headers={name: value for name, value in asked.headers.items() if name.lower() != "authorization"}
    )


if __name__ == "__main__":
    verdict(main)
