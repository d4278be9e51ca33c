"""`python -m app demo`: the whole platform on embedded servers, with real input, checked at its end."""

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from adapters.database.engine import create_engine
from app.bootstrap.redis import NAMESPACE, redis_client
from app.dev.wordpress_site import wordpress_site
from app.embedded.s3 import embedded_s3
from app.output import fail, out, save_picture
from app.run.servers import platform
from app.run.up import announced, listener, public_url, started, wait_for_stop
from app.settings import load_settings
from middleware import ProgressReader
from middleware.progress.redis import RedisProgressStore

from .library import articles
from .results import look, show_results
from .seed import seed
from .sent import Stage
from .watch import jobs_table, watch

__all__ = ["run"]


def run(*, keep: bool = False, picture: Path | None = None) -> int:
    """Run the demo; the exit code: 0 when every job did what it should, else 1.

    Parameters:
        keep: stay up afterwards until Ctrl-C.
        picture: where to save what was shown, as SVG; None for nowhere.
    """
    begun = time.monotonic()
    settings = load_settings(run_file=False)
    logs = settings.home / "logs"
    with ExitStack() as stack:
        out.print("Starting PostgreSQL, Valkey, an S3-compatible server and a site that speaks WordPress ...")
        values = stack.enter_context(platform(settings))
        s3 = stack.enter_context(embedded_s3())
        wordpress = stack.enter_context(wordpress_site())
        web = stack.enter_context(listener(settings))
        values |= {
            "public_url": public_url(settings, web),
            "s3_endpoint_url": s3.endpoint_url,
            "s3_access_key_id": s3.access_key_id,
            "s3_secret_access_key": s3.secret_access_key.get_secret_value(),
            "s3_export_targets": [f"{s3.bucket}/{{org_id}}/"],
            # The site is on this very machine, where no publish target of a real platform may be.
            "publish_allow_http": True,
            "publish_allowed_networks": ["127.0.0.0/8"],
        }
        stack.enter_context(announced(settings, values))
        found = load_settings()

        texts = articles()
        engine = create_engine(str(values["database_url"]))
        stack.callback(engine.dispose)
        now = datetime.now(UTC)
        sites = seed(engine, texts, now)
        out.print(
            f"Seeded {len({site.org for site in sites})} orgs with {len(sites)} domains and {len(texts)} real "
            f"articles ({sum(len(text.body) for text in texts):,} characters) in {time.monotonic() - begun:.1f} s."
        )
        children = stack.enter_context(started(settings, values, web, log_folder=logs))

        from .topics import TOPICS, publishing  # the actors find the servers that were announced just now

        stage = Stage(
            engine=engine, settings=found, sites=sites, bucket=s3.bucket, wordpress=wordpress, now=now
        )
        sent = [each for topic in TOPICS for each in topic.send(stage)]
        client = stack.enter_context(redis_client(found))
        jobs, lines = watch(
            sent,
            lambda: publishing.follow(stage),
            ProgressReader(RedisProgressStore(client, prefix=NAMESPACE)),
            out,
            lambda: not children.ended(),
        )
        out.record = picture is not None
        if out.is_terminal:
            out.print(jobs_table(jobs, lines))
        results = look(jobs)
        show_results(results, found, time.monotonic() - begun)
        if picture is not None:
            save_picture(picture, "make demo")
        if keep:
            out.print("Everything stays up; Ctrl-C stops it.")
            wait_for_stop(children)
        unclean = {name: ended for name, ended in children.stop().items() if ended}
        if unclean:
            fail(f"not a clean stop, exit codes: {unclean}; see {logs}")
    return 1 if unclean or any(left.fault for _, left in results) else 0
