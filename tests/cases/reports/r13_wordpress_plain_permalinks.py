"""A site with plain permalinks, or with `/index.php/` ones, is published to like any other.

Plain permalinks are WordPress's state after installation, and the only one on hosts without rewriting; the API is at
`?rest_route=`, with "/index.php/..." permalinks at `/index.php/wp-json/`.

Right: where /wp-json/ answers a 404 that is not the API's own, the others are tried once and remembered.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.cases.http_servers import Reply, Request
from tests.cases.kit import in_short, verdict
from tests.cases.wordpress_front import Forward, trial


def main() -> list[str]:
    """What is wrong."""
    faults = []
    for name, front in {"plain permalinks": _plain, "index.php permalinks": _index_php}.items():
        tried = trial(front)
        print(f"{name}: check: {tried.check}\n   publish: {in_short(tried.publish)}; {tried.posts}")
        if isinstance(tried.publish, Exception):
            faults.append(name)
    return faults


def _plain(asked: Request, forward: Forward) -> Reply:
    url = urlsplit(asked.path)
    query = parse_qs(url.query)
    if url.path == "/" and "rest_route" in query:
        route = query.pop("rest_route")[0]
        return forward("/wp-json" + route + "?" + urlencode(query, doseq=True))
    return Reply(404, b"<html>Not found</html>", {"Content-Type": "text/html"})


def _index_php(asked: Request, forward: Forward) -> Reply:
    if asked.path.startswith("/index.php/wp-json/"):
        return forward(asked.path.removeprefix("/index.php"))
    return _plain(asked, forward)


if __name__ == "__main__":
    verdict(main)
