"""Row 10: the life of a worker."""

import json
import signal
import threading
from pathlib import Path
from uuid import uuid4

from .chat import ideas, provider
from .platform import Org, Platform
from .remote import Reply, Request, remote


def test_a_worker_checks_its_surroundings_beats_drains_and_says_how_it_stopped(
    platform: Platform, org: Org, tmp_path: Path
) -> None:
    """A bad environment is one line and exit code 1; SIGTERM in the middle of a job lets it end, and the code is 0.

    While it works it has a heartbeat that the probe finds, and none afterwards. A worker whose job does not end in the
    time it has to drain ends with 1.

    Seen red with no time for running jobs to end (`middleware/draining.py`): the job was interrupted and parked.
    """
    region, ready = f"r{uuid4().hex[:8]}", tmp_path / "ready"
    begun, gate = threading.Semaphore(0), threading.Event()

    def serve(request: Request) -> Reply:
        begun.release()
        gate.wait(100)
        return ideas(request)

    with remote(serve) as slow:
        settings = {
            "PRESSROOM_REGION": region,
            "PRESSROOM_READY_DIR": str(ready),
            "PRESSROOM_AI_PROVIDERS": json.dumps([provider(f"slow-{region}", slow.url)]),
        }
        command = ("app", "worker", "--processes=1", "--threads=1", f"--queues=content.{region}")

        def send() -> str:
            job = org.job(keywords=["bread"], content_type="article", max_ideas=1)
            return platform.send("content_idea_generation", job, region=region)

        hasty = {**settings, "PRESSROOM_DRAIN_S": "0.5", "PRESSROOM_READY_DIR": str(tmp_path / "other")}
        with platform.worker(*command, **settings) as worker:
            job = send()
            assert begun.acquire(timeout=60), "the job did not begin"
            heartbeats = list(ready.glob("*.json"))
            worker.send_signal(signal.SIGTERM)
            gate.set()
            drained = worker.wait(60)
            done = platform.attempts(job)
            left = list(ready.glob("*.json"))

        gate.clear()
        with platform.worker(*command, **hasty) as worker:
            send()
            probed = platform.run("probe", "--readiness", "--json")
            bad = platform.run_with({"PRESSROOM_WORKER_THREADS": "none"}, "worker")
            assert begun.acquire(timeout=60), "the job did not begin"
            worker.send_signal(signal.SIGTERM)
            cut_short = worker.wait(60)
        gate.set()

    assert bad.code == 1
    (fault,) = bad.err.splitlines()
    assert "PRESSROOM_WORKER_THREADS" in fault
    assert len(heartbeats) == 1
    assert probed.json()["ok"] is True
    assert (drained, [each["outcome"] for each in done], left) == (0, ["succeeded"], [])
    assert cut_short == 1
