"""How a worker process ended, by its exit code; those of Dramatiq's own command mean the same."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes that supervisors, ours and those around it, may distinguish."""

    #: Everything it had leased was finished or handed back.
    CLEAN = 0
    #: A job had to be abandoned, or the process was killed.
    UNCLEAN = 1
    #: The modules cannot be loaded, their server is not fit for a broker, or the command line is wrong.
    IMPORT = 2
    #: The broker cannot be reached.
    CONNECT = 3
    #: A job that cannot be stopped took its process with it; the guards end a process with this one.
    STUCK = 79
