"""Row 8: `OrgLimits`."""

import json
import threading
from collections import Counter
from uuid import uuid4

from .chat import ideas, provider, wanted
from .platform import Org, Platform, Row
from .remote import Reply, Request, remote

LIMIT = 3
JOBS = 9
THREADS = 8


class Crowd:
    """A provider that keeps everybody waiting, and counts how many of each keyword are there at once."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.most: Counter[str] = Counter()
        self._there: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Reply:
        """Answer one request."""
        (keyword,) = wanted(request)["keywords"]
        with self._lock:
            self._there[keyword] += 1
            self.most[keyword] = max(self.most[keyword], self._there[keyword])
        if keyword == "loud":
            self.open.wait(100)
        with self._lock:
            self._there[keyword] -= 1
        return ideas(request)


def test_an_org_has_no_more_jobs_running_than_its_limit_and_holds_nobody_up(
    platform: Platform, org: Org
) -> None:
    """Of nine jobs three run at once, on eight threads; another org's run meanwhile, and the others when there is room.

    One that has no place costs no attempt, and `why` says what it waits for.

    Seen red with the comparison of an org's running jobs with its limit (`broker/lua/parts/picking.lua`) left out:
    eight at once.
    """
    region, quiet, crowd = f"r{uuid4().hex[:8]}", platform.new_org(), Crowd()

    def send(whose: Org, keyword: str) -> str:
        job: Row = whose.job(keywords=[keyword], content_type="article", max_ideas=1)
        return platform.send("content_idea_generation", job, region=region)

    with (
        remote(crowd) as slow,
        platform.worker(
            "dramatiq",
            "actors",
            "--processes=1",
            f"--threads={THREADS}",
            f"--queues=content.{region}",
            PRESSROOM_REGION=region,
            PRESSROOM_WORKER_THREADS=str(THREADS),
            PRESSROOM_MAX_ACTIVE_JOBS_PER_ORG=str(LIMIT),
            PRESSROOM_AI_PROVIDERS=json.dumps([provider(f"slow-{region}", slow.url)]),
            PRESSROOM_AI_TEMPLATE_FALLBACK="false",
        ),
    ):
        loud = [send(org, "loud") for _ in range(JOBS)]
        others = [send(quiet, "quiet") for _ in range(2)]
        for each in others:
            platform.result_of(each)
        begun = [each for each in loud if platform.attempts(each)]
        (waiting, *_) = [each for each in loud if each not in begun]
        explained = platform.run("jobs", "why", waiting, "--org", org.id, "--json").json()
        crowd.open.set()
        ends = [platform.end_of(each) for each in loud]

    assert crowd.most["loud"] == LIMIT
    assert len(begun) <= LIMIT
    assert explained["cause"] == "org_limit"
    assert [(each["outcome"], each["attempt"]) for each in ends] == [("succeeded", 1)] * JOBS
