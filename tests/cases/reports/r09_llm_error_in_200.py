"""An outage that a gateway reports inside a 200 is an outage: waited out, or `ProviderUnavailable`.

OpenRouter and many proxies send status 200 first and `{"error": {"code": 429 or 502, ...}}` as the body.

Right: an error object with a code that passes by itself (408, 429, 5xx) is what that status would be.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from typing import Any

from domain.errors import ProviderUnavailable
from tests.cases.chat_provider import GOOD, ask, completion, in_words
from tests.cases.kit import verdict


def main() -> list[str]:
    """What is wrong."""
    faults = []
    for code in (429, 502):
        down = 200, {"error": {"code": code, "message": "upstream"}}
        found, asked = ask(lambda _request, _number, down=down: down)  # type: ignore[misc]
        print(f"error {code} for good: {len(asked)} calls, {in_words(found)}")
        if not isinstance(found, ProviderUnavailable):
            faults.append(f"{code} is no outage")

        def twice(_request: dict[str, Any], number: int, code: int = code) -> tuple[int, object]:
            return 200, {"error": {"code": code}} if number < 3 else completion(GOOD)

        found, asked = ask(twice)
        print(f"error {code} twice, then good: {len(asked)} calls, {in_words(found)}")
        if isinstance(found, Exception):
            faults.append(f"{code} is not waited out")
    return faults


if __name__ == "__main__":
    verdict(main)
