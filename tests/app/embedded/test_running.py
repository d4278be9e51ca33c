"""The embedded servers: started by the first, found by the next, stopped by the last, never in the way."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from app.embedded import EmbeddedServerError, Servers, postgres, process, running
from app.embedded.folders import ServerFolders, find_server_folders
from app.process_identity import ProcessIdentity
from tests.folders import open_folder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]


def use(servers: Servers) -> int:
    """Prove that both servers serve; PostgreSQL's process id."""
    with psycopg.connect(servers.database_url()) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("pressroom_worker",)
    with redis.Redis.from_url(servers.redis_url) as client:
        assert client.ping()
    identity = ProcessIdentity.read(servers.folders.postgres / "pid")
    assert identity is not None
    return identity.pid


def up(servers: Servers) -> bool:
    """Whether any of the two still runs."""
    return any(process.find(folder / "pid") for folder in (servers.folders.postgres, servers.folders.valkey))


@pytest.fixture
def tmp_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that the database's unprivileged user may enter; what may not live there goes below it too."""
    with open_folder() as folder:
        monkeypatch.setattr("tempfile.tempdir", str(folder))
        yield folder


@pytest.fixture
def other_process(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that uses the same folder until it is told to end."""
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        from app.embedded import running
        with running(Path(sys.argv[1]), durable=False):
            print("up", flush=True)
            sys.stdin.readline()
    """)
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "home")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == "up\n"
        yield child
        child.kill()


def test_data_survives_a_stop_and_a_start(tmp_path: Path) -> None:
    """What was written is there the next time."""
    with running(tmp_path) as servers, redis.Redis.from_url(servers.redis_url) as client:
        client.set("a", "1")
        with psycopg.connect(servers.database_owner_url()) as connection:
            connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    assert not up(servers)

    with running(tmp_path) as servers, redis.Redis.from_url(servers.redis_url) as client:
        assert client.get("a") == b"1"
        with psycopg.connect(servers.database_owner_url()) as connection:
            assert connection.execute("SELECT a FROM t").fetchone() == (1,)
    assert not up(servers)


def test_a_second_user_finds_the_first_ones_servers(
    tmp_path: Path, other_process: "subprocess.Popen[str]"
) -> None:
    """Two processes share one set of servers, and it lives until both have left."""
    with running(tmp_path / "home", durable=False) as servers:
        before = use(servers)
        other_process.communicate("end\n", timeout=60)
        assert use(servers) == before

    assert not up(servers)


def test_the_first_may_leave_before_the_second(
    tmp_path: Path, other_process: "subprocess.Popen[str]"
) -> None:
    """Whoever started the servers is not the one who must stay."""
    with running(tmp_path / "home", durable=False) as servers:
        use(servers)
    assert up(servers)

    other_process.communicate("end\n", timeout=60)
    assert not up(servers)


def test_a_killed_user_leaves_nothing_in_the_way(
    tmp_path: Path, other_process: "subprocess.Popen[str]"
) -> None:
    """After SIGKILL the next user finds the servers, and stops them when it leaves."""
    other_process.kill()
    other_process.wait()

    with running(tmp_path / "home", durable=False) as servers:
        use(servers)

    assert not up(servers)


def test_killed_servers_are_started_again(tmp_path: Path) -> None:
    """Left-over locks, sockets and process ids of dead servers stop nobody."""
    with running(tmp_path, durable=False) as servers:
        for folder in (servers.folders.postgres, servers.folders.valkey):
            found = process.find(folder / "pid")
            assert found is not None
            found.send_signal(signal.SIGKILL)
            found.wait(30)

        with running(tmp_path, durable=False) as again:
            use(again)


def test_another_process_with_the_old_id_is_not_taken_for_the_server(tmp_path: Path) -> None:
    """A reused process id is told from the real thing by its birth."""
    ProcessIdentity(pid=os.getpid(), created=1.0).write(tmp_path / "pid")

    assert process.find(tmp_path / "pid") is None


def test_two_folders_do_not_know_each_other(tmp_path: Path) -> None:
    """Two checkouts have servers of their own."""
    with running(tmp_path / "one", durable=False) as one, running(tmp_path / "two", durable=False) as two:
        assert use(one) != use(two)


def test_a_path_too_long_for_a_socket_works(tmp_path: Path) -> None:
    """Sockets that do not fit their folder go to a private one in the temporary directory."""
    with running(tmp_path / ("deep-" * 30), durable=False) as servers:
        use(servers)
        folder = servers.folders.valkey.parent

    assert stat.S_IMODE(folder.stat().st_mode) == 0o711


def test_nobody_else_may_open_the_sockets(tmp_path: Path) -> None:
    """The folders of both sockets are closed to every other user."""
    with running(tmp_path, durable=False) as servers:
        modes = [folder.stat().st_mode for folder in (servers.folders.postgres, servers.folders.valkey)]

    assert [stat.S_IMODE(mode) for mode in modes] == [0o700, 0o700]


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    """The error carries the end of the server's own log."""
    with running(tmp_path, durable=False) as servers:
        pass
    (servers.folders.postgres / "data" / "postgresql.conf").write_text("no_such_option = 1\n")

    with pytest.raises(EmbeddedServerError, match="no_such_option"), running(tmp_path, durable=False):
        pass


def test_a_closed_home_works_and_stays_closed(tmp_path: Path) -> None:
    """Also as root, whose database user may not look in there, nobody's permissions are widened."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    package = find_server_folders(tmp_path).postgres_bin.parent.parent
    for folder in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(folder, closed / folder.name, copy_function=os.link)

    folders = find_server_folders(closed, closed / package.name / "pginstall18" / "bin")
    try:
        postgres.ensure_running(folders, durable=False)
        use_database(folders)
    finally:
        postgres.stop(folders)

    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_a_guessed_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link planted where the private folder would go does not get our data."""
    deep = tmp_path / ("deep-" * 30)
    deep.mkdir()
    folders = find_server_folders(deep)
    private = folders.valkey.parent
    shutil.rmtree(private)
    private.symlink_to(deep)

    with pytest.raises(EmbeddedServerError, match="belongs to somebody else"):
        find_server_folders(deep)


def use_database(folders: ServerFolders) -> None:
    """Prove that PostgreSQL serves."""
    with psycopg.connect(postgres.url(folders, postgres.SUPERUSER, postgres.SUPERUSER)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
