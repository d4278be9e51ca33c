"""One experiment for each org: two titles for one article, started once."""

from collections.abc import Callable
from functools import partial
from uuid import UUID, uuid4

from sqlalchemy import insert, select

from actors import experiment_start
from adapters.database.tables import audit_log, experiment_runs, experiment_variants, experiments
from adapters.database.unit_of_work import UnitOfWork
from app.dev.demo.seed import Site
from app.dev.demo.sent import Left, Sent, Stage, sent
from domain.experiment_start import ExperimentStart


def send(stage: Stage) -> list[Sent]:
    """Make the experiments, and start each."""
    firsts = {site.org_id: site for site in reversed(stage.sites)}
    return [_send(stage, site) for site in reversed(firsts.values())]


def _send(stage: Stage, site: Site) -> Sent:
    experiment_id = uuid4()
    with UnitOfWork(stage.engine, site.org_id) as unit:
        mine = {"org_id": site.org_id, "id": experiment_id, "domain_id": site.domain_id}
        name = f"Which title for {site.articles[0].title[:100]}?"
        unit.connection.execute(insert(experiments).values(**mine, name=name, status="ready"))
        for variant in ("as it is", "shorter"):
            row = {"org_id": site.org_id, "experiment_id": experiment_id, "id": uuid4(), "name": variant}
            unit.connection.execute(insert(experiment_variants).values(row))
    job = ExperimentStart(org_id=site.org_id, experiment_id=experiment_id, triggered_by="the demo")
    look: Callable[[], Left] = partial(_look, stage, site, experiment_id)
    return sent(experiment_start.send(job), site, "start an experiment", look)


def _look(stage: Stage, site: Site, experiment_id: UUID) -> Left:
    with UnitOfWork(stage.engine, site.org_id) as unit:
        status = unit.connection.scalar(
            select(experiments.c.status).where(
                experiments.c.org_id == site.org_id, experiments.c.id == experiment_id
            )
        )
        runs = unit.connection.scalars(
            select(experiment_runs.c.status).where(
                experiment_runs.c.org_id == site.org_id, experiment_runs.c.experiment_id == experiment_id
            )
        ).all()
        audited = unit.connection.scalars(
            select(audit_log.c.action).where(
                audit_log.c.org_id == site.org_id, audit_log.c.target.contains(str(experiment_id))
            )
        ).all()
    right = status == "running" and runs == ["running"] and len(audited) == 1
    fault = "" if right else f"it is {status}, with {len(runs)} runs and {len(audited)} audit rows"
    return Left(count=len(runs), where="experiment_runs, audit_log", fault=fault)
