"""`pressroom`: the platform's command line where its checkout is, and else what the library alone has."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__

_HELP = """\
usage: pressroom [--version] COMMAND ...

Guards and a fair broker for Dramatiq.

commands:
  worker          run Dramatiq workers under a supervisor; `pressroom worker --help` lists its options
  drain-dramatiq  move what lies in the queues of Dramatiq's own Redis broker into ours

examples:
  # Four processes of eight threads each, for the actors in `jobs.py`.
  $ pressroom worker jobs --processes 4

  # What Dramatiq's own broker still has, and whether it can be read.
  $ pressroom drain-dramatiq --url redis://localhost --dry-run

The guards are imported: `from pressroom import Contracts, Retries`. In a checkout of the platform, this command has its
whole command line.
"""

_COMMANDS = ("worker", "drain-dramatiq")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `pressroom`; the exit code.

    Parameters:
        arguments: what was typed after it. Default: of this process.
    """
    if platform := _platform():
        sys.path.insert(0, str(platform))
        # By name: no line of the library depends on the platform, which stands above it.
        importlib.import_module("app.__main__").main()
        return 0
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["--version"]:
        sys.stdout.write(f"pressroom {__version__}\n")
        return 0
    if words[:1] and words[0] in _COMMANDS:
        return _broker(words)
    asked = words[:1] in ([], ["--help"], ["-h"])
    if not asked:
        sys.stderr.write(f"pressroom: no command {words[0]}; there are: {', '.join(_COMMANDS)}\n")
        return 2
    sys.stdout.write(_HELP)
    return 0


def _platform() -> Path | None:
    """The checkout that this file is part of, or that is on Python's path; None where there is the library alone."""
    roots = [Path(__file__).resolve().parent.parent]
    found = importlib.util.find_spec("app")
    roots += [Path(each).resolve().parent for each in (found and found.submodule_search_locations) or ()]
    for root in roots:
        # Many a project has a package `app`; only ours stands beside this file's folder.
        if all((root / part).is_file() for part in ("app/cli/root.py", "middleware/__main__.py")):
            return root
    return None


def _broker(words: Sequence[str]) -> int:
    try:
        # By name: whoever uses the guards on another broker needs no Redis.
        broker = importlib.import_module(f"{__package__}.broker.__main__")
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        sys.stderr.write(f"`pressroom {words[0]}` needs Redis's client: pip install 'pressroom[redis]'\n")
        return 2
    code: int = broker.main(words)
    return code


if __name__ == "__main__":
    sys.exit(main())
