"""The broker that workers, `actor.send(...)` and the tests all find. Importing this opens no socket."""

import sys

import dramatiq

from app.bootstrap.broker import build_broker
from app.settings import SettingsError, load_settings
from broker.supervisor.exit_codes import ExitCode

try:
    settings = load_settings()
except SettingsError as error:
    if "dramatiq.cli" not in sys.modules:
        raise
    # Dramatiq's command, and periodiq, which imports brokers through it, know no error of settings: they would print a
    # traceback, and not end with the code by which a supervisor sees that trying again is no use.
    sys.stderr.write("".join(f"Error: {text}\n" for text in str(error).splitlines()))
    sys.exit(ExitCode.IMPORT)
broker = build_broker(settings)
dramatiq.set_broker(broker)
