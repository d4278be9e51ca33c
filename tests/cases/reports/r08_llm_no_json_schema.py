"""A provider that knows JSON mode but not `json_schema` is asked in the form that it knows, from then on at once.

DeepSeek, older vLLM and many gateways refuse `response_format: json_schema` as such.

Right: a 400 or 422 to a request with `json_schema` is followed once by the same with `json_object`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from typing import Any

from tests.cases.chat_provider import GOOD, ask, completion, in_words
from tests.cases.kit import verdict

REFUSED = {
    "error": {
        "message": "response_format of that type is not available",
        "type": "invalid_request_error",
    }
}


def main() -> list[str]:
    """What is wrong."""
    found, asked = ask(_json_mode_only)
    print(f"{len(asked)} calls, {in_words(found)}")
    return ["json mode only"] if isinstance(found, Exception) else []


def _json_mode_only(request: dict[str, Any], _number: int) -> tuple[int, object]:
    if request.get("response_format", {}).get("type") == "json_schema":
        return 400, REFUSED
    return 200, completion(GOOD)


if __name__ == "__main__":
    verdict(main)
