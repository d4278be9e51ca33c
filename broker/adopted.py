"""The first process of a container inherits the orphans of its workers, and has to collect them when they end."""

import os
from collections.abc import Set


def collect_adopted(own_pids: Set[int]) -> None:
    """Collect children that have ended and that nobody else waits for; those would stay as zombies for ever.

    Parameters:
        own_pids: children whose exit codes somebody wants; they are left alone.
    """
    while True:
        try:
            # Looked at first, for a plain wait would take an exit code away from whoever started that child.
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in own_pids:
            return
        os.waitpid(ended.si_pid, os.WNOHANG)
