"""`python -m tests.broker.chaos`: the full storm, with its progress, a table at the end, and exit code 1 if it lost."""

import argparse
import json
import sys
from dataclasses import asdict, fields
from pathlib import Path

from tests.broker.chaos.plan import Plan
from tests.broker.chaos.run import weather
from tests.folders import open_folder


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.broker.chaos", description=__doc__)
    for number in fields(Plan):
        if number.name == "forked":
            continue
        name = f"--{number.name.replace('_', '-')}"
        parser.add_argument(name, type=int, default=number.default, help=f"default: {number.default}")
    parser.add_argument(
        "--programs",
        dest="forked",
        action="store_false",
        help="start workers as the command does; far slower",
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the result there, too")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="leave the server's data and the logs there"
    )
    options = vars(parser.parse_args())
    path, keep = options.pop("json"), options.pop("keep")
    plan = Plan(**options)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        verdict = weather(plan, keep, _say)
    else:
        with open_folder() as folder:
            verdict = weather(plan, folder, _say)
    for name, value in verdict.figures.items():
        _say(f"{name:32} {value}")
    for broken in verdict.wrong:
        _say(f"WRONG: {broken}")
    _say("Nothing was lost." if not verdict.wrong else f"{len(verdict.wrong)} promises were broken.")
    if path is not None:
        reported = {"plan": asdict(plan), "figures": verdict.figures, "wrong": verdict.wrong}
        path.write_text(json.dumps(reported, indent=2) + "\n")
    return 1 if verdict.wrong else 0


def _say(row: str) -> None:
    sys.stdout.write(row + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
