"""`python -m pressroom.broker worker`: Dramatiq workers under a supervisor; from the checkout `python -m broker`.

signals (to this process):
  TERM, INT  drain all workers and end; a second one, 2 s later or more, ends them at once
  HUP        replace all workers, one by one, with the code as it is now

exit codes:
  0   all workers stopped cleanly
  1   a worker had to be killed, or gave up a job that could not be interrupted
  2   the modules cannot be loaded, their server may drop messages, or the command line is wrong
  79  a worker was stopping while a job was stuck

standard output:
  a line of JSON for each thing that happens: worker_started, worker_ready, worker_died (with its signal or code),
  worker_worn, worker_stopped, worker_killed, the same of a probe, and `status` whenever the counts change

examples:
  # Four processes of eight threads each, for the actors in `jobs.py`.
  $ python -m pressroom.broker worker jobs --processes 4

  # Only two queues; the broker is `jobs.broker`.
  $ python -m pressroom.broker worker jobs:broker --queues mail images

  # Replace a worker that has grown by 300 MB since it booted, or has run 10,000 jobs.
  $ python -m pressroom.broker worker jobs --max-rss-mb 300 --max-jobs 10000

  # For a health check: the file is written anew each second.
  $ python -m pressroom.broker worker jobs --status-file /run/workers.json
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from .supervisor.options import DRAIN_S, SupervisorOptions
from .supervisor.supervisor import Supervisor

#: What `drain-dramatiq` was called before 0.2.
_OLD_DRAIN = "drain-stock"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["one-worker"]:
        from .supervisor.worker import main as be_one_worker  # late: the supervisor itself runs no jobs

        return be_one_worker(words[1:])
    if words[:1] == [_OLD_DRAIN]:
        sys.stderr.write(f"{_OLD_DRAIN} is called drain-dramatiq now; the old name goes with 0.3\n")
        words[0] = "drain-dramatiq"
    if words[:1] == ["drain-dramatiq"]:
        from .drain.command import main as drain_dramatiq  # late: it loads the broker

        return drain_dramatiq(words[1:])
    parser = _parser()
    options = vars(parser.parse_args(words))
    status_file = options.pop("status_file")
    modules, queues = tuple(options.pop("modules")), tuple(options.pop("queues"))
    try:
        supervised = SupervisorOptions(modules=modules, queues=queues, **options)
    except ValueError as error:
        parser.error(str(error))
    if supervised.max_rss_mb is not None and not Path("/proc/self/statm").exists():
        parser.error("--max-rss-mb needs /proc, as Linux has it; use --max-jobs instead")
    logging.basicConfig(level=logging.INFO)
    return Supervisor(supervised, status_file=status_file).run()


def _parser() -> argparse.ArgumentParser:
    """Options are named as the fields of `SupervisorOptions`."""
    parser = argparse.ArgumentParser(prog="python -m pressroom.broker")
    commands = parser.add_subparsers(required=True, metavar="worker|drain-dramatiq")
    commands.add_parser("drain-dramatiq", help="take over the messages of Dramatiq's own Redis broker")
    worker = commands.add_parser(
        "worker",
        help="run workers, and keep them running",
        description="Run Dramatiq workers, each a process of its own, and keep them running: one that ends by itself "
        "is started again and the others go on.",
        epilog=(__doc__ or "").partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = worker.add_argument
    add(
        "modules",
        metavar="MODULE",
        nargs="+",
        help="declares actors; the first may name a broker: module:broker",
    )
    add("--processes", "-p", type=int, default=1, metavar="N", help="how many workers (default: 1)")
    add("--threads", "-t", type=int, default=8, metavar="M", help="jobs that each runs at once (default: 8)")
    add("--queues", "-Q", nargs="+", default=[], metavar="QUEUE", help="to work (default: all)")
    add(
        "--max-rss-mb",
        type=float,
        metavar="MB",
        help="replace a worker that has grown by so much (default: never)",
    )
    add("--max-jobs", type=int, metavar="N", help="replace a worker that ran so many jobs (default: never)")
    add(
        "--drain-s",
        type=float,
        default=DRAIN_S,
        metavar="S",
        help=f"seconds that running jobs may take to end when a worker stops (default: {DRAIN_S:g})",
    )
    add(
        "--restart-delay-s",
        type=float,
        default=1.0,
        metavar="S",
        help="before a worker that died within a minute is started again; doubles each time, up to 60 times this "
        "(default: 1)",
    )
    add(
        "--status-file",
        type=Path,
        metavar="PATH",
        help="keep the counts there, for a health check (default: nowhere)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
