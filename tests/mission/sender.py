"""An application that sends jobs: a plain Python beside the platform, which a JSON line tells what to send.

In a process of its own because importing `actors` binds a process to the platform that it finds, for good.
"""

import json
import sys

import actors


def main() -> None:
    """Send a job for each line on standard input; print its id, or what the caller was refused with."""
    _say("ready")
    for row in sys.stdin:
        asked = json.loads(row)
        actor = getattr(actors, asked["actor"])
        args = () if asked["payload"] is None else (asked["payload"],)
        try:
            message = actor.send_with_options(args=args, **asked["options"])
            answer = {"message_id": message.message_id}
        except Exception as error:  # noqa: BLE001  # the test asked for it, and is shown it
            answer = {"refused": f"{type(error).__name__}: {error}"}
        _say(json.dumps(answer))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
