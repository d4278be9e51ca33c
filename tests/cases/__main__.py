"""`python -m tests.cases [NAME...]`: run the cases, print a table; exit code 1 when one that held fails or errs."""

import argparse
import json
import sys
from dataclasses import asdict

from tests.cases.holding import held
from tests.cases.running import LIMIT_S, Ended, chosen, run

#: Of what is wrong, the table has the beginning; `--verbose` and `--json` all of it.
_MOST_CHARS = 160


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.cases", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="folders or parts of names; default: all")
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON for scripts")
    parser.add_argument("--verbose", action="store_true", help="print what each program prints")
    parser.add_argument(
        "--limit-s", type=float, default=LIMIT_S, help=f"seconds each may take; default {LIMIT_S:.0f}"
    )
    options = parser.parse_args()
    try:
        cases = chosen(options.names)
    except ValueError as error:
        parser.error(str(error))
    ended = []
    for case in cases:
        one = run(case, options.limit_s)
        ended.append(one)
        if options.verbose and not options.as_json:
            print(one.output)
        if not options.as_json:
            print(_row(one), flush=True)
    broken = [one.case for one in ended if _is_broken(one)]
    if options.as_json:
        print(json.dumps([asdict(one) for one in ended], indent=2))
    else:
        print(_sum(ended, broken))
    return 1 if broken else 0


def _is_broken(one: Ended) -> bool:
    return one.verdict == "error" or (one.verdict == "FAILS" and one.case in held())


def _row(one: Ended) -> str:
    why = one.why if len(one.why) <= _MOST_CHARS else f"{one.why[:_MOST_CHARS]} ..."
    return f"{one.verdict:6} {one.case:44} {one.seconds:6.1f} s  {why}".rstrip()


def _sum(ended: list[Ended], broken: list[str]) -> str:
    counts = [
        f"{sum(one.verdict == verdict for one in ended)} {verdict}" for verdict in ("HOLDS", "FAILS", "error")
    ]
    news = [one.case for one in ended if one.verdict == "HOLDS" and one.case not in held()]
    rows = [f"{len(ended)} cases: {', '.join(counts)}."]
    if broken:
        rows.append(f"Broken: {', '.join(broken)}.")
    if news:
        rows.append(f"Hold by now, so list them in tests/cases/holding.py: {', '.join(news)}.")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
