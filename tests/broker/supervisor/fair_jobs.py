"""What supervised workers of the fair broker work on."""

import os

import dramatiq

from broker import FairRedisBroker

broker = FairRedisBroker(url=os.environ["SUPERVISED_URL"], namespace=os.environ["SUPERVISED_SPACE"])
dramatiq.set_broker(broker)


@dramatiq.actor
def rest() -> None:
    """Nothing to do."""
