"""A reply cut off at the model's length limit is followed by a request for fewer ideas, not by the same one again.

Fifty ideas with outlines are some 12,000 tokens; many models stop at 4,096 or 8,192.

Right: after `finish_reason` "length" fewer are asked for (say half, down to one), and the rest afterwards.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import json
from typing import Any

from tests.cases.chat_provider import GOOD, ask, completion, idea, in_words
from tests.cases.kit import verdict

#: Ideas that the model can write before it is cut off, and ideas that are wanted.
ENOUGH, WANTED = 20, 50


def main() -> list[str]:
    """What is wrong."""
    found, asked = ask(_short_model, count=WANTED)
    print(f"{len(asked)} calls, counts {[_count(each) for each in asked]}, {in_words(found)}")
    return ["cut off"] if isinstance(found, Exception) else []


def _short_model(request: dict[str, Any], number: int) -> tuple[int, object]:
    wanted = _count(request)
    if wanted > ENOUGH:
        return 200, completion(GOOD[:40], "length")
    return 200, completion(json.dumps({"ideas": [idea(f"Title {number}.{each}") for each in range(wanted)]}))


def _count(request: dict[str, Any]) -> int:
    return int(json.loads(request["messages"][-1]["content"])["count"])


if __name__ == "__main__":
    verdict(main)
