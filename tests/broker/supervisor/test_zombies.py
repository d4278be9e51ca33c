"""Orphans that the first process of a container inherits."""

import subprocess
import sys
import textwrap

import pytest

from tests.broker.supervisor.supervised import ROOT

pytestmark = pytest.mark.slow


def test_orphans_are_collected_and_own_children_keep_their_codes() -> None:
    """An orphan leaves no zombie behind; the exit code of a child of one's own is not taken away."""
    script = """
        import ctypes, os, signal, subprocess, sys
        from broker.supervisor.wakeups import reap_orphans

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: as if it were the first process
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        read_fd, write_fd = os.pipe()
        # A parent that ends at once, and whose child lives until the pipe is closed.
        parent = "import os, subprocess, sys; print(subprocess.Popen(['cat'], stdin=0, stdout=2).pid)"
        made = subprocess.run([sys.executable, "-c", parent], stdin=read_fd, capture_output=False,
                              stdout=subprocess.PIPE, check=True)
        orphan = int(made.stdout)
        os.close(write_fd)
        os.waitid(os.P_PID, orphan, os.WEXITED | os.WNOWAIT)
        own = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
        reap_orphans({own.pid})
        os.waitid(os.P_PID, own.pid, os.WEXITED | os.WNOWAIT)
        reap_orphans({own.pid})
        try:
            os.waitpid(orphan, os.WNOHANG)
        except ChildProcessError:
            print("collected", own.wait())
        reap_orphans(set())
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.stdout == "collected 7\n", done.stderr
