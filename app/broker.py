"""The broker that `dramatiq actors`, `actor.send(...)` and the tests all find. Importing this opens no socket."""

import sys
from pathlib import Path

import dramatiq

from app.bootstrap.broker import build_broker
from app.settings import SettingsError, load_settings

#: Command lines that import this and show what it raises to people.
_COMMANDS = ("dramatiq", "periodiq")


try:
    settings = load_settings()
except SettingsError as error:
    if Path(sys.argv[0]).parent.name not in _COMMANDS and Path(sys.argv[0]).name not in _COMMANDS:
        raise
    # A worker's own process would print a traceback; this prints the message and ends with code 1.
    sys.exit("\n".join(f"Error: {line}" for line in str(error).splitlines()))
broker = build_broker(settings)
dramatiq.set_broker(broker)
