"""Right JSON in a wrapping (code fence, reasoning before it, content parts, BOM) is taken, and asked for once.

Many OpenAI-compatible servers do not enforce `response_format`: vLLM, llama.cpp and LM Studio without a grammar,
gateways to other vendors, reasoning models.

Right: the one JSON object in the reply is found and held to the same strict rules. Text parts of a content list are
joined, parts of thinking left out.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.cases.chat_provider import GOOD, ask, completion, in_words
from tests.cases.kit import verdict

#: Nothing is paid for twice for a blemish.
MOST_CALLS = 1

THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "let me see {not this}"}]}


def main() -> list[str]:
    """What is wrong."""
    faults = []
    contents: dict[str, object] = {
        "plain": GOOD,
        "code fence": f"```json\n{GOOD}\n```",
        "bare fence": f"```\n{GOOD}\n```",
        "reasoning first": f'<think>maybe {{"ideas": []}} ...</think>\n\n{GOOD}',
        "words around": f"Here are the ideas you asked for:\n{GOOD}\nTell me if you need more.",
        "byte order mark": f"\ufeff{GOOD}",
        "content parts": [THINKING, {"type": "text", "text": GOOD}],
    }
    for name, content in contents.items():
        body = completion(content)
        found, asked = ask(lambda _request, _number, body=body: (200, body))  # type: ignore[misc]
        print(f"{name:16} {len(asked)} calls, {in_words(found)}")
        if isinstance(found, Exception) or len(asked) > MOST_CALLS:
            faults.append(name)
    return faults


if __name__ == "__main__":
    verdict(main)
