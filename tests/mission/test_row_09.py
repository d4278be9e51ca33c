"""Row 9: `actors`, one list of every job."""

import json
import subprocess
import sys

from .platform import ROOT, Platform

#: Every job with its queue, priority, retries and time limit in milliseconds.
JOBS = {
    "content_idea_generation": ["content", 50, 2, 120_000],
    "content_scheduler": ["publishing", 25, 0, 300_000],
    "database_maintenance": ["maintenance", 100, 1, 600_000],
    "domain_export": ["exports", 75, 3, 600_000],
    "domain_transfer": ["domains", 25, 3, 60_000],
    "experiment_start": ["experiments", 25, 2, 60_000],
    "feedback_ingest": ["feedback", 50, 3, 300_000],
    "media_cleanup": ["media", 100, 1, 300_000],
    "publish_execution": ["publishing", 25, 3, 300_000],
}

SHOW = """
import json, actors
listed = {name: getattr(actors, name) for name in actors.__all__}
print(json.dumps({
    name: [actor.queue_name, actor.priority, actor.options["max_retries"], actor.options["time_limit"]]
    for name, actor in listed.items()
}))
"""


def test_one_list_has_every_job_and_up_works_all_of_them(platform: Platform) -> None:
    """`actors.__all__` names nine jobs with queue, priority, retries and time limit; the worker serves their queues.

    A name that is not on the list is refused by the command line, which says the one that was meant.

    Seen red with `media_cleanup` left out of `actors.__all__`: eight.
    """
    shown = subprocess.run(
        [sys.executable, "-c", SHOW],
        cwd=ROOT,
        env=platform.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    workers, misspelt = platform.run_all(
        ["workers", "list", "--operator", "--reason", "row 9", "--json"], ["send", "domain_exprot"]
    )

    assert json.loads(shown.stdout) == JOBS
    queues = {queue for queue, *_ in JOBS.values()}
    assert [each for each in workers.json() if queues <= set(each["queues"])]
    assert misspelt.code == 1
    assert "did you mean domain_export?" in misspelt.err
