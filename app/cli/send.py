"""Sending a job by name and JSON, for the command line."""

import difflib
import json

import redis
from dramatiq import Message
from dramatiq.errors import BrokerConnectionError

import actors
from app.broker import broker
from app.output import CommandError
from middleware import InvalidPayload
from middleware.contracts.guard import contract_of


class SendError(CommandError):
    """Nothing was enqueued; the message says why."""


def send_json(actor_name: str, payload: str, *, delay_ms: int = 0) -> Message[None]:
    """Enqueue one job.

    Parameters:
        actor_name: one of `actors.__all__`.
        payload: its contract as JSON text; `{}` for an actor that is told nothing.
        delay_ms: start no sooner than this. Default 0.

    Raises:
        SendError: unknown actor, not JSON, not the contract, or Redis cannot be reached.
        DatabaseUnavailable: no worker runs that would have told the region of the job's org, nor does the database.

    Example:
        >>> send_json("domain_export", '{"org_id": "...", "domain_id": "...", "format": "csv"}').message_id
        '6f1c...'
    """
    if actor_name not in actors.__all__:
        close = difflib.get_close_matches(actor_name, actors.__all__, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(actors.__all__)}"
        raise SendError(f"no actor {actor_name}; {hint}")
    try:
        data = json.loads(payload)
    except ValueError as error:
        raise SendError(f"the payload is not JSON: {error}") from None
    actor = broker.get_actor(actor_name)
    takes_payload = contract_of(actor) is not None
    if not takes_payload and data != {}:
        raise SendError(f"{actor_name} takes no payload; send it {{}}")
    try:
        return actor.send_with_options(args=(data,) if takes_payload else (), delay=delay_ms or None)
    except InvalidPayload as error:
        raise SendError(str(error)) from None
    except (redis.ConnectionError, BrokerConnectionError) as error:
        raise SendError(f"Redis does not answer: {error}. Is `python -m app up` running?") from None
