"""Run blocks of pages, each from the preamble, and work every actor they declare once.

    python -m tests.docs RESULTS.json [PAGE ...]

REDIS_URL names a server that is emptied, DATABASE_URL the migrated database. RESULTS.json gets a block's name and
what was wrong with it, or null.
"""

import ast
import contextlib
import doctest
import io
import json
import os
import re
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import dramatiq
import redis
from dramatiq.broker import MessageProxy
from sqlalchemy import insert

from adapters.database.engine import create_engine
from adapters.database.tables import domain_registry, orgs
from adapters.database.unit_of_work import SystemUnitOfWork
from tests.docs.blocks import ROOT, Block, blocks_of, pages
from tests.docs.payloads import PAYLOADS

#: What pages call the server; replaced by the one that REDIS_URL names.
SERVER = "redis://localhost:6379/0"

#: How pages say that a statement is refused, after it on its last line.
_RAISES = re.compile(r"# raises (?P<error>\w+)")

#: How long the worker may take for a block's actors, in seconds.
WORK_S = 30.0


class BlockFailed(Exception):
    """A block did not do what it shows."""


class Outcomes(dramatiq.Middleware):
    """Outermost of a broker: how the first attempt of each message ended, by its id."""

    def __init__(self) -> None:
        self._of: dict[str, str] = {}
        self._changed = threading.Condition()

    def first(self, message_id: str) -> str:
        """Wait for the end of the message's first attempt."""
        with self._changed:
            self._changed.wait_for(lambda: message_id in self._of, timeout=WORK_S)
            return self._of.get(message_id, "not run")

    def _ended(self, message_id: str, outcome: str) -> None:
        with self._changed:
            self._of.setdefault(message_id, outcome)
            self._changed.notify_all()

    def after_process_message(
        self,
        broker: Any,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        self._ended(message.message_id, "succeeded" if exception is None else f"failed: {exception!r}")

    def after_skip_message(self, broker: Any, message: MessageProxy) -> None:
        self._ended(message.message_id, "skipped")


def main(results: str, *only: str) -> None:
    """Run the pages' blocks, and write down how each went."""
    verdicts: dict[str, str | None] = {}
    _make_tenant()
    for page in only or pages():
        kept: dict[str, Any] = {}
        for block in blocks_of(page):
            if block.excerpt is None:
                verdicts[block.name] = _tried(block, kept)
    Path(results).write_text(json.dumps(verdicts, indent=1))


def _tried(block: Block, kept: dict[str, Any]) -> str | None:
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            run(block, kept)
    except BaseException as error:  # noqa: BLE001  # a block may raise whatever it likes
        return "".join(traceback.format_exception(error)) + printed.getvalue()
    return None


def run(block: Block, kept: dict[str, Any]) -> None:
    """Run a block from a fresh preamble and what earlier blocks of its page left, and work its actors."""
    if block.is_test:
        _run_as_test(block)
        return
    redis.Redis.from_url(os.environ["REDIS_URL"]).flushall()
    preamble: dict[str, Any] = {"__name__": "preamble"}
    _execute((ROOT / "tests/docs/preamble.py").read_text(), "preamble.py", preamble)
    before = dict(preamble)
    names = preamble | {name: value for name, value in kept.items() if name not in preamble}
    _forget_redeclared(block, names["broker"])
    names["__name__"] = "page"
    if "Contracts(" in block.source:  # the block adds it itself
        stack = names["broker"].middleware
        stack[:] = [each for each in stack if type(each).__name__ != "Contracts"]
    if re.search(r"^(?:>>> )?(?:from|import) (?:actors|app)\b", block.source, re.MULTILINE):
        from app.broker import broker  # the platform's pages are about the platform's broker

        dramatiq.set_broker(broker)
    if ">>>" in block.source:
        _run_prompts(block, names)
    else:
        _execute(block.source, block.name, names)
    mine = {
        name: value
        for name, value in names.items()
        if not name.startswith("__") and before.get(name) is not value
    }
    actors = [value for value in mine.values() if isinstance(value, dramatiq.Actor)]
    if not actors and "add_middleware(" in block.source:
        actors = [names["resize"]]  # a guard alone has to work, too
    _work([actor for actor in actors if actor.broker is not _platform_broker()])
    kept.update({name: value for name, value in mine.items() if name not in before})


def on_test_server(source: str) -> str:
    """What a page says of the server on its default port, said of the one that REDIS_URL names."""
    return source.replace("redis.Redis(", f'redis.Redis.from_url("{SERVER}", ').replace(
        SERVER, os.environ["REDIS_URL"]
    )


def _execute(source: str, name: str, names: dict[str, Any]) -> None:
    source = on_test_server(source)
    lines = source.splitlines()
    for statement in ast.parse(source).body:
        run_it = compile(ast.Module([statement], []), name, "exec")
        raises = _RAISES.search(lines[(statement.end_lineno or statement.lineno) - 1])
        if raises is None:
            exec(run_it, names)  # noqa: S102
            continue
        try:
            exec(run_it, names)  # noqa: S102
        except Exception as error:
            if type(error).__name__ != raises["error"]:
                raise
        else:
            raise BlockFailed(f"nothing was raised: {lines[statement.lineno - 1]}")


def _run_prompts(block: Block, names: dict[str, Any]) -> None:
    test = doctest.DocTestParser().get_doctest(block.source, names, block.name, block.page, block.row)
    for example in test.examples:
        if not example.want:  # a page need not say what a call returns
            example.options[doctest.SKIP] = True
            _execute(example.source, block.name, names)
    test.globs = names
    printed = io.StringIO()
    failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(
        test, out=printed.write, clear_globs=False
    )
    if failed.failed:
        raise BlockFailed(printed.getvalue())


def _run_as_test(block: Block) -> None:
    """In a pytest of its own, behind the preamble's models."""
    folder = Path(os.environ["DOCS_FOLDER"])
    module = folder / f"test_{block.row}.py"
    preamble = (ROOT / "tests/docs/preamble.py").read_text()
    module.write_text(on_test_server(preamble + "\n\n" + block.source))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(folder),
        str(module),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=folder)
    if done.returncode != 0:
        raise BlockFailed(done.stdout + done.stderr)


def _forget_redeclared(block: Block, broker: dramatiq.Broker) -> None:
    # As a reader's own module has it once: a block may declare what the preamble has.
    source = block.source if ">>>" not in block.source else ""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            broker.actors.pop(node.name, None)


def _work(actors: list[dramatiq.Actor[..., Any]]) -> None:
    """Send each actor its example and have a worker run it to its end."""
    brokers = {id(actor.broker): actor.broker for actor in actors}
    for broker in brokers.values():
        outcomes = Outcomes()
        broker.middleware.insert(0, outcomes)
        broker.flush_all()  # what the block sent may go anywhere
        sent = {}
        for actor in actors:
            if actor.broker is broker:
                if actor.actor_name not in PAYLOADS and actor.fn.__code__.co_argcount:
                    raise BlockFailed(
                        f"tests/docs/payloads.py has no example for the actor {actor.actor_name!r}"
                    )
                message = actor.message(*PAYLOADS.get(actor.actor_name, ()))
                sent[actor.actor_name] = broker.enqueue(message)
        worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=2)
        worker.start()
        try:
            worked = {name: outcomes.first(message.message_id) for name, message in sent.items()}
        finally:
            worker.stop()
            broker.middleware.remove(outcomes)
        wrong = {name: outcome for name, outcome in worked.items() if outcome != "succeeded"}
        if wrong:
            raise BlockFailed(f"a worker was given an example of each actor: {wrong}")


def _make_tenant() -> None:
    """The org and the domain that the preamble names, in the database."""
    names: dict[str, Any] = {}
    _execute((ROOT / "tests/docs/preamble.py").read_text(), "preamble.py", names)
    engine = create_engine(os.environ["DATABASE_URL"])
    with SystemUnitOfWork(engine) as unit:
        unit.connection.execute(insert(orgs).values(id=names["org"], name="An org"))
        unit.connection.execute(
            insert(domain_registry).values(org_id=names["org"], id=names["domain"], host="org.example")
        )
    engine.dispose()


def _platform_broker() -> object:
    module = sys.modules.get("app.broker")
    return getattr(module, "broker", None)


if __name__ == "__main__":
    main(*sys.argv[1:])
