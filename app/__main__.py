"""`python -m app`, which `pressroom` is short for in a checkout."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: What is ours: where one of these is missing, no package is.
OURS = {"actors", "adapters", "app", "broker", "domain", "middleware"}


def main() -> None:
    """Run the command line; a Python without the packages that it needs gets one line, and exit code 2."""
    try:
        if sys.argv[1:2] == ["probe"]:
            # Asked every few seconds: it does without the command line's libraries.
            from app.run.probe import main as probe

            sys.exit(probe(sys.argv[2:]))

        from app.cli.root import main as root
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in OURS:
            raise
        sys.stderr.write(_instead(error.name) + "\n")
        sys.exit(2)
    root()


def _instead(missing: "str | None") -> str:
    python = ROOT / ".venv" / "bin" / "python"
    command = " ".join([".venv/bin/python -m app", *sys.argv[1:]])
    # An environment that is older than the checkout lacks packages, too. Its Python may be a link, its prefix is not.
    is_complete = python.exists() and Path(sys.prefix) != ROOT / ".venv"
    first = "run" if is_complete else "run `make up` once, which installs them into .venv, then"
    return f"Pressroom's packages are not installed for {sys.executable} (no {missing}); {first} `{command}`."


if __name__ == "__main__":
    main()
