"""Behind PgBouncer in transaction mode, with its default configuration, units of work go well; needs pgbouncer.

(a) The start-up parameter `options` (-c TimeZone=UTC) is refused by PgBouncer before 1.20 and by several cloud poolers;
(b) where it is ignored, psycopg's prepared statements collide between clients (42P05, 26000).

Right: units of work need nothing of a connection that outlives a transaction, or passing faults are taken for such.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
import os
import shutil
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from sqlalchemy import text

from adapters.database.engine import create_engine
from adapters.database.transactions import SqlTransactions
from adapters.database.unit_of_work import UnitOfWork
from app.embedded import Servers, running
from tests.cases.kit import Missing, eventually, free_port, in_short, outcome, verdict
from tests.folders import open_folder

#: Eight clients with thirty units each: none may fail.
CLIENTS, UNITS = 8, 30


def main() -> list[str]:
    """What is wrong."""
    program = shutil.which("pgbouncer")
    if program is None:
        raise Missing("pgbouncer. Debian, Ubuntu: apt-get install pgbouncer")
    faults = []
    with open_folder() as folder, running(folder / "servers", durable=False) as servers:
        servers.create_database("pooled")
        for name, ignored in (
            ("as it comes", ""),
            ("options ignored", "ignore_startup_parameters = options,extra_float_digits"),
        ):
            with _pooler(program, servers, folder / name, ignored) as url:
                ends = _work(url)
            print(f"{name}: {dict(ends)}")
            if ends != {"done": CLIENTS * UNITS}:
                faults.append(name)
    return faults


def _work(url: str) -> Counter[str]:
    engine = create_engine(url, pool_size=CLIENTS)
    ends: Counter[str] = Counter()
    refused = outcome(lambda: engine.connect().close())
    if isinstance(refused, Exception):
        return Counter({in_short(refused): 1})
    units = SqlTransactions(engine, lambda unit: unit, lambda: 30.0)

    def three(unit: UnitOfWork) -> None:
        for _ in range(3):
            unit.connection.execute(text("SELECT 1"))

    def client() -> None:
        for _ in range(UNITS):
            answer = outcome(lambda: units(uuid4(), three))
            ends[in_short(answer) if isinstance(answer, Exception) else "done"] += 1

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    engine.dispose()
    return ends


@contextmanager
def _pooler(program: str, servers: Servers, folder: Path, ignored: str) -> Iterator[str]:
    folder.mkdir()
    folder.chmod(0o777)
    port = free_port()
    (folder / "users").write_text('"pressroom_worker" ""\n')
    (folder / "ini").write_text(
        f"[databases]\npooled = host={servers.folders.postgres} dbname=pooled\n[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\n"
        f"auth_file = {folder}/users\npool_mode = transaction\ndefault_pool_size = 3\n{ignored}\n"
    )
    as_nobody = ["-u", "nobody"] if os.geteuid() == 0 else []
    pooler = subprocess.Popen(
        [program, *as_nobody, str(folder / "ini")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        if not eventually(lambda: _listens(port), 10):
            raise RuntimeError("pgbouncer does not listen")
        yield f"postgresql://pressroom_worker@127.0.0.1:{port}/pooled"
    finally:
        pooler.terminate()
        pooler.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    verdict(main)
