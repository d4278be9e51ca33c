"""What is broken about connections, one thing at a time."""

from typing import Any

import redis

from broker import clients, connection, sending, server_check
from tests.broker import test_clients
from tests.broker.failover import test_one_address, test_replicas
from tests.broker.mutants.breaking import PythonVariant


def _lost_connection(error: Exception) -> bool:
    return isinstance(error, redis.ConnectionError | redis.TimeoutError)


def _over_any_connection(sender: Any, script: Any, arguments: Any, *, repeated: bool = False) -> Any:
    answer = script(sender._client, sender._base, arguments)
    sender._wait_for_replica(sender._client)
    return answer


IN_PYTHON = [
    PythonVariant(
        11,
        connection,
        "is_away",
        _lost_connection,
        test_one_address.test_what_a_demoted_server_answers_is_a_lost_connection,
    ),
    PythonVariant(
        11,
        connection,
        "drop_connections",
        lambda _: None,
        test_one_address.test_a_connection_to_a_demoted_server_is_not_kept,
    ),
    PythonVariant(
        11,
        sending.Sender,
        "_run_safely",
        _over_any_connection,
        test_replicas.test_a_send_that_is_repeated_is_not_confirmed_by_a_connection_that_wrote_nothing,
    ),
    PythonVariant(
        11,
        server_check,
        "check_rights",
        lambda *_: None,
        test_clients.test_a_user_without_rights_is_refused_with_those_that_are_missing,
    ),
    PythonVariant(
        11,
        clients,
        "_changes_bytes",
        lambda _: False,
        test_clients.test_clients_of_one_pool_share_what_is_made_for_them,
    ),
]
