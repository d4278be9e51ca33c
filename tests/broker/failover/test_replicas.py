"""What a replica has to confirm before a send returns, where that is asked for."""

import dramatiq
import pytest

from broker import FairRedisBroker, NotReplicated
from tests.broker.cutting_proxy import proxied
from tests.broker.failover.servers import servers
from tests.folders import open_folder

pytestmark = pytest.mark.slow


def test_a_send_that_is_repeated_is_not_confirmed_by_a_connection_that_wrote_nothing() -> None:
    """The answer to the first try is lost, the second writes nothing, and the replica has none of it."""
    with (
        open_folder() as folder,
        servers(1, "--unixsocket", str(folder / "socket"), "--repl-diskless-sync-delay", "0") as (primary,),
        servers(1) as (replica,),
        proxied(f"unix://{folder / 'socket'}") as proxy,
    ):
        replica.replicate(primary)
        broker = FairRedisBroker(url=proxy.url, middleware=[], durability="replica")
        job = dramatiq.actor(broker=broker)(_nothing)
        job.send()
        replica.freeze()
        proxy.lose_answer(b"EVALSHA")

        with pytest.raises(NotReplicated):
            job.send()

        assert proxy.lost.is_set()
        assert broker.do_qsize("default") == 2
        broker.close()


def _nothing() -> None:
    pass
