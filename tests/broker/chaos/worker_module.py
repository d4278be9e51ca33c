"""The module that a storm's workers load."""

from tests.broker.chaos.jobs import hosted

broker = hosted()
