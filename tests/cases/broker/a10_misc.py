"""What is asked of connections: pauses of very many orgs (`gates`), few rights (`acl`), kinds of clients (`clients`).

Arguments: gates ORGS, acl, clients; default all, gates with 10000.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import dramatiq

from broker import FairRedisBroker, Inspector
from tests.cases.kit import (
    broker_on,
    client_of,
    eventually,
    in_short,
    outcome,
    own_server,
    pause,
    verdict,
    working,
)
from tests.cases.scale import MOST_GROWTH, batches, said, scripts_of

#: The job of the one org that is resumed runs so soon, however many others are paused.
RESUMED_WITHIN_S = 1.0
#: Script calls within a second of it that are the worker's own, with nothing to do.
IDLE_CALLS = 20
#: The rights that an application's user has: its own keys, and no administration.
RIGHTS = (
    *("on", ">pw", "~acl:{0}:*", "~acl:{0}", "&*", "-@all", "+evalsha", "+eval", "+blpop", "+lpush"),
    *("+pexpire", "+hget", "+set", "+@connection", "+@read", "+@write", "+time", "+multi", "+exec"),
    *("+info", "-keys"),
)


def main() -> list[str]:
    """What is wrong."""
    given = sys.argv[1:]
    faults = []
    if given[:1] in ([], ["gates"]):
        faults += _gates(int(given[1]) if given[1:] else 10_000)
    if given[:1] in ([], ["acl"]):
        faults += _acl()
    if given[:1] in ([], ["clients"]):
        faults += _clients()
    return faults


def _gates(large: int) -> list[str]:
    (small_calls, small_ok), (large_calls, large_ok) = _paused(large // 10), _paused(large)
    faults = []
    if not (small_ok and large_ok):
        faults.append("gates: the resumed org's job does not run")
    if large_calls > max(IDLE_CALLS, MOST_GROWTH * small_calls):
        faults.append(f"gates: {small_calls} script calls for one job, with ten times as many {large_calls}")
    return faults


def _paused(count: int) -> tuple[int, bool]:
    with own_server() as url, broker_on(url) as broker:
        client = client_of(url)
        look = Inspector(client, broker.base)

        @dramatiq.actor(queue_name="q", broker=broker)
        def job(number: int) -> None: ...

        for part in batches(count):
            broker.send_many(job.message_with_options(args=(each,), org=f"org{each:06d}") for each in part)
        gates = {f"o:org{each:06d}": (0, "paused by an operator") for each in range(count)}
        print(said(f"{count} pauses", scripts_of(client, lambda: broker.shut("pauses", gates))))
        with working(broker, threads=4):
            eventually(lambda: look.oldest("q") is None, 30)
            pause(1)
            del gates["o:org000007"]

            def resume() -> bool:
                broker.shut("pauses", gates)
                ran = eventually(lambda: broker.do_qsize("q") < count, RESUMED_WITHIN_S)
                pause(1)
                return ran

            taken = scripts_of(client, resume)
        print(said("one org is resumed", taken))
        return taken.calls, taken.result


def _acl() -> list[str]:
    ran: list[int] = []
    with own_server() as url:
        client = client_of(url)
        client.execute_command("ACL", "SETUSER", "app", *RIGHTS)  # type: ignore[no-untyped-call]
        as_app = url.replace("unix://", "unix://app:pw@")
        with broker_on(as_app, namespace="acl") as broker:

            @dramatiq.actor(queue_name="q", broker=broker)
            def job(number: int) -> None:
                ran.append(number)

            job.send(1)
            with working(broker, threads=2):
                job.send_with_options(args=(2,), delay=300)
                pause(3.5)  # a beat, too
        denied = client.acl_log()
    print(f"acl: ran {ran}, denied {[(each['object'], each['reason']) for each in denied][:4]}")
    faults = [] if ran == [1, 2] else [f"acl: ran {ran}"]
    return faults + (["acl: something is denied"] if denied else [])


def _clients() -> list[str]:
    faults = []
    with own_server("--requirepass", "p@ss") as url:
        path = url.removeprefix("unix://").partition("?")[0]
        same: dict[str, object] = {"unix_socket_path": path}
        kinds: dict[str, dict[str, object]] = {
            "a URL": {"url": f"unix://:p%40ss@{path}?db=3"},
            "parameters": {**same, "password": "p@ss"},
            "RESP3": {**same, "password": "p@ss", "protocol": 3},
            "RESP2": {**same, "password": "p@ss", "protocol": 2},
            "a password of bytes": {**same, "password": b"p@ss"},
            "time-outs": {**same, "password": "p@ss", "socket_timeout": 1, "health_check_interval": 1},
        }
        for number, (name, parameters) in enumerate(kinds.items()):
            opened = outcome(lambda: _broker(number, parameters))  # noqa: B023  # called at once
            if isinstance(opened, TypeError | ValueError):
                print(f"{name}: refused: {in_short(opened)}")
                continue
            if isinstance(opened, Exception):
                raise opened
            ran = _ran(opened)
            print(f"{name}: ran {ran}")
            if ran != [1, 2]:
                faults.append(f"{name}: ran {ran}")
    return faults


def _broker(number: int, parameters: dict[str, object]) -> FairRedisBroker:
    return FairRedisBroker(namespace=f"kind{number}", middleware=[], **parameters)  # type: ignore[arg-type]


def _ran(broker: FairRedisBroker) -> list[int]:
    ran: list[int] = []

    @dramatiq.actor(queue_name="q", broker=broker)
    def job(number: int) -> None:
        ran.append(number)

    with working(broker, threads=2):
        job.send(1)
        job.send_with_options(args=(2,), delay=200)
        eventually(lambda: len(ran) == 2, 3)
    broker.close()
    return ran


if __name__ == "__main__":
    verdict(main)
