"""`python -m app`."""

import sys

if sys.argv[1:2] == ["probe"]:
    # Asked every few seconds: it does without the command line's libraries.
    from app.run.probe import main as probe

    sys.exit(probe(sys.argv[2:]))

from app.cli.root import main

main()
