"""What the process tests give to the periodiq command line: one actor, due every minute."""

import os

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import CurrentMessage

from middleware import Retries
from middleware.cron.guard import Cron, cron
from middleware.cron.redis import RedisCronStore

#: Where the server is; set for the command line by the test.
URL_VARIABLE = "CRON_TEST_REDIS_URL"

#: The list of ticks that ran.
RAN = "ran"


def build(url: str) -> dramatiq.Broker:
    """A broker on that server with the guard and the actor."""
    client = redis.Redis.from_url(url)
    made = RedisBroker(client=client, middleware=[Cron(RedisCronStore(client)), CurrentMessage(), Retries()])  # type: ignore[no-untyped-call]

    @dramatiq.actor(broker=made, periodic=cron("* * * * *", missed="catch_up", overlap="allow"))
    def every_minute() -> None:
        message = CurrentMessage.get_current_message()
        assert message is not None
        client.rpush(RAN, message.options["cron_tick"])

    return made


def __getattr__(name: str) -> object:
    # The command line asks for `broker`; tests only import `build`.
    if name == "broker":
        globals()["broker"] = build(os.environ[URL_VARIABLE])
        return globals()["broker"]
    raise AttributeError(name)
