"""A way to the server that can be cut, before it gets a request or after it has carried one out."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Proxy:
    """Passes bytes on between loopback and the server's Unix socket."""

    def __init__(self, server_path: str) -> None:
        self._server_path = server_path
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._open: set[socket.socket] = set()
        self._is_cut = False
        self._losing: bytes | None = None
        self._left_bytes: int | None = None
        #: How many scripts were called.
        self.calls = 0
        self.lost = threading.Event()
        self._serving: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def cut(self) -> None:
        """Close all connections; new ones are closed at once."""
        self._is_cut = True
        self._close_all()

    def restore(self) -> None:
        """Let connections through again."""
        self._is_cut = False

    def lose_answer(self, containing: bytes) -> None:
        """Cut the connection after the server has answered the next request that contains these bytes."""
        self.lost.clear()
        self._losing = containing

    def cut_after(self, count_bytes: int) -> None:
        """Cut when so many more bytes of requests have passed."""
        self._left_bytes = count_bytes

    def close(self) -> None:
        """End everything."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        self._close_all()
        # Their sockets are closed by then.
        for thread in self._serving:
            thread.join()

    def _close_all(self) -> None:
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._is_cut:
                near.close()
                continue
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._server_path)
            self._open |= {near, far}
            thread = threading.Thread(target=self._serve, args=(near, far), daemon=True)
            self._serving.append(thread)
            thread.start()

    def _serve(self, near: socket.socket, far: socket.socket) -> None:
        losing = threading.Event()
        answers = threading.Thread(target=self._pass_answers, args=(near, far, losing), daemon=True)
        answers.start()
        with suppress(OSError):
            while data := near.recv(1 << 20):
                if self._losing is not None and self._losing in data:
                    self._losing = None
                    losing.set()
                self.calls += data.count(b"EVALSHA")
                if self._left_bytes is not None:
                    data, self._left_bytes = data[: self._left_bytes], self._left_bytes - len(data)
                far.sendall(data)
                if self._left_bytes is not None and self._left_bytes <= 0:
                    self._left_bytes = None
                    self.cut()
        with suppress(OSError):
            far.shutdown(socket.SHUT_RDWR)
        answers.join()
        self._open -= {near, far}
        near.close()
        far.close()

    def _pass_answers(self, near: socket.socket, far: socket.socket, losing: threading.Event) -> None:
        with suppress(OSError):
            while data := far.recv(1 << 20):
                if losing.is_set():
                    self.lost.set()
                    break
                near.sendall(data)
        with suppress(OSError):
            near.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxied(server_url: str) -> Iterator[Proxy]:
    """A proxy to the server at this `unix://` URL."""
    path = server_url.removeprefix("unix://").partition("?")[0]
    proxy = Proxy(path)
    try:
        yield proxy
    finally:
        proxy.close()
