"""The broker that workers, `actor.send(...)` and the tests all find. Importing this opens no socket."""

import sys
from pathlib import Path

import dramatiq

from app.bootstrap.broker import build_broker
from app.settings import SettingsError, load_settings
from broker.supervisor.exit_codes import ExitCode

#: Command lines that import this and show what it raises to people.
_COMMANDS = ("broker", "dramatiq", "periodiq")


try:
    settings = load_settings()
except SettingsError as error:
    if Path(sys.argv[0]).parent.name not in _COMMANDS and Path(sys.argv[0]).name not in _COMMANDS:
        raise
    # A worker's own process would print a traceback; and by this code the supervisor sees that trying again is no use.
    sys.stderr.write("".join(f"Error: {text}\n" for text in str(error).splitlines()))
    sys.exit(ExitCode.IMPORT)
broker = build_broker(settings)
dramatiq.set_broker(broker)
