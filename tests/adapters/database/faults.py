"""Ways to hurt a connection, for real."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import psycopg
from sqlalchemy import Connection, func, make_url, select


def pid_of(connection: Connection) -> int:
    """The server process behind a connection."""
    pid: int = connection.execute(select(func.pg_backend_pid())).scalar_one()
    return pid


def kill(url: str, pid: int) -> None:
    """End a server process, as an administrator or a crash would; returns when it is gone."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))


class LostCommits:
    """Stands between client and server, and cuts the line after the server's answer to the first COMMITs.

    The server has committed, the client cannot know.

    Parameters:
        url: of the server, reached by a Unix socket.
        losses: how many answers are lost; later ones pass.
    """

    def __init__(self, url: str, losses: int) -> None:
        parsed = make_url(url)
        self._socket_path = f"{parsed.query['host']}/.s.PGSQL.5432"
        self._listener = socket.create_server(("127.0.0.1", 0))
        host, port = self._listener.getsockname()
        #: Where the client connects instead.
        self.url = parsed.set(host=host, port=port, query={}).render_as_string(hide_password=False)
        #: Answers still to be lost.
        self.losses = losses
        self._clients: list[socket.socket] = []

    @contextlib.contextmanager
    def running(self) -> Iterator["LostCommits"]:
        """Accepts connections until the block ends."""
        thread = threading.Thread(target=self._accept)
        thread.start()
        try:
            yield self
        finally:
            # Also what a failing test left open: nobody waits for it.
            for end in (self._listener, *self._clients):
                _shut(end)
            thread.join()
            self._listener.close()

    def _accept(self) -> None:
        lines = []
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._clients.append(client)
                thread = threading.Thread(target=self._serve, args=(client,))
                thread.start()
                lines.append(thread)
        for thread in lines:
            thread.join()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(self._socket_path)
            committing = threading.Event()
            answers = threading.Thread(target=self._pass_answers, args=(server, client, committing))
            answers.start()
            while request := _received(client):
                if b"COMMIT" in request and self.losses:
                    self.losses -= 1
                    committing.set()
                server.sendall(request)
            _shut(server)
            answers.join()

    @staticmethod
    def _pass_answers(server: socket.socket, client: socket.socket, committing: threading.Event) -> None:
        while answer := _received(server):
            if committing.is_set():
                break
            client.sendall(answer)
        _shut(client)


def _received(end: socket.socket) -> bytes:
    with contextlib.suppress(OSError):
        return end.recv(1 << 16)
    return b""


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
