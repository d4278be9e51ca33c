"""The broker that `dramatiq actors`, `actor.send(...)` and the tests all find. Importing this opens no socket."""

import dramatiq

from app.bootstrap.broker import build_broker
from app.settings import load_settings

broker = build_broker(load_settings())
dramatiq.set_broker(broker)
