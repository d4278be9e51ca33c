"""Row 15: metrics."""

import json
import socket
from pathlib import Path
from uuid import uuid4

import httpx
from prometheus_client.parser import text_string_to_metric_families

from .guarded import write_program
from .platform import Org, Platform, until

PROGRAM = """
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

def broken(kind, name, value, labels):
    raise RuntimeError("a handler of somebody's own")

prometheus = find("PrometheusHandler")()
emf = find("EmfHandler")(open({emf!r}, "a", buffering=1))
for handler in (broken, prometheus, find("StatsdHandler")("127.0.0.1", {statsd}), emf):
    library.add_metric_handler(handler)

class Scraped(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(prometheus.exposition())

    def log_message(self, *args):
        pass

server = HTTPServer(("127.0.0.1", 0), Scraped)
Path({port!r}).write_text(str(server.server_address[1]))
Thread(target=server.serve_forever, daemon=True).start()
"""

QUEUE = "exports"


def test_one_job_is_counted_gauged_and_timed_by_prometheus_statsd_and_emf(
    platform: Platform, org: Org, tmp_path: Path
) -> None:
    """A job that succeeded and one that failed are in all three systems, labelled by actor and outcome, never by org.

    A handler of somebody's own that breaks takes nothing from the others. The worker is a program that imports the
    actors and adds the handlers, as `docs/guards/metrics.md` shows.

    Seen red with the outcome left out of the labels of `attempts_total` (`middleware/metrics/guard.py`): nobody could
    tell the two jobs apart.
    """
    region, port, emf = f"r{uuid4().hex[:8]}", tmp_path / "port", tmp_path / "emf.jsonl"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(10)
        program = PROGRAM.format(emf=str(emf), port=str(port), statsd=statsd.getsockname()[1])
        write_program(tmp_path, "measured", program)
        with platform.worker(
            "dramatiq",
            "measured",
            "--processes=1",
            "--threads=1",
            f"--path={tmp_path}",
            f"--queues={QUEUE}.{region}",
            PRESSROOM_REGION=region,
        ):
            nowhere = {**org.job(format="json"), "domain_id": str(uuid4())}
            for job in (org.job(format="json"), nowhere):
                platform.end_of(platform.send("domain_export", job, region=region))

            def scraped() -> dict[str, dict[str, float]]:
                text = httpx.get(f"http://127.0.0.1:{port.read_text()}", timeout=10).text
                assert org.id not in text
                samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
                found: dict[str, dict[str, float]] = {}
                for each in samples:
                    if each.labels.get("actor") == "domain_export":
                        key = each.labels.get("outcome", "")
                        found.setdefault(each.name, {})[key] = each.value
                return found

            def both() -> dict[str, dict[str, float]] | None:
                found = scraped()
                counted = found.get("pressroom_attempts_total", {})
                return found if sum(counted.values()) == 2 else None

            found = until(both, "both jobs to be counted")
            datagrams: list[str] = []
            while not [each for each in datagrams if "attempts_total" in each and "failed" in each]:
                datagrams += statsd.recv(65_536).decode().splitlines()
    lines = [json.loads(row) for row in emf.read_text().splitlines()]

    assert found["pressroom_attempts_total"] == {"succeeded": 1, "failed": 1}
    assert found["pressroom_attempts_in_flight"] == {"": 0}
    assert found["pressroom_attempt_seconds_count"] == {"": 2}
    assert [each for each in datagrams if each.startswith("pressroom.attempts_total:1|c|#")]
    assert [each for each in datagrams if "attempt_seconds" in each and ("|ms" in each or "|h" in each)]
    outcomes = [each["outcome"] for each in lines if "attempts_total" in each]
    assert sorted(outcomes) == ["failed", "succeeded"]
    assert all("_aws" in each for each in lines)
    assert not [each for each in (*datagrams, *map(json.dumps, lines)) if org.id in each]
