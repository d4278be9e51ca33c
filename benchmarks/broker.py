"""Our broker beside stock Dramatiq, in one run: `python -m benchmarks.broker --markdown table.md`.

Every system has a server of its own that keeps nothing on disk, and worker processes of its own. All take each
measure in turn, several rounds; medians and percentiles are of all rounds together. Read the ratios: absolute
figures move from machine to machine.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from itertools import repeat
from pathlib import Path
from typing import Annotated

import redis
import typer

from app.output import err
from benchmarks.figures import as_json, as_markdown
from benchmarks.lab import Child, server
from benchmarks.measures import FULL, MEASURES, QUICK, Samples, Setup, Sizes
from benchmarks.systems import SYSTEMS, absent

#: Rounds of a full run.
ROUNDS = 3


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of the short measures.")] = ROUNDS,
    only: Annotated[
        list[str] | None, typer.Option(help=f"A measure, or several: {', '.join(MEASURES)}.")
    ] = None,
    system: Annotated[
        list[str] | None, typer.Option(help=f"A system, or several: {', '.join(SYSTEMS)}.")
    ] = None,
    server_program: Annotated[
        Path | None,
        typer.Option("--server", help="A valkey-server or redis-server. Default: the embedded Valkey."),
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table to this file.")] = None,
    as_json_: Annotated[
        bool, typer.Option("--json", help="JSON with every sample instead of a table.")
    ] = False,
    quick: Annotated[
        bool, typer.Option(help="A look whether everything runs; its figures mean nothing.")
    ] = False,
) -> None:
    """Measure our broker beside stock Dramatiq at its default and with more prefetched."""
    measures = _chosen(only, list(MEASURES), "--only")
    systems, left_out = [], ""
    for key in _chosen(system, list(SYSTEMS), "--system"):
        why = absent(SYSTEMS[key])
        if why is None:
            systems.append(key)
        else:
            left_out += f" Left out: {SYSTEMS[key].title}."
            err.print(f"left out: {SYSTEMS[key].title} ({why})")
    if not systems:
        raise typer.BadParameter("none of these brokers is there", param_hint="--system")
    sizes, load = QUICK if quick else FULL, os.getloadavg()[0]
    with _setups(systems, sizes, server_program) as setups:
        machine = _machine(setups[0].client, load) + left_out
        samples = _rounds(setups, measures, 1 if quick else rounds)
    text = f"{machine}\n\n{as_markdown(samples, sizes)}"
    if markdown is not None:
        markdown.write_text(text)
    if as_json_:
        text = (
            json.dumps({"machine": machine, "figures": as_json(samples), "samples": samples}, indent=1) + "\n"
        )
    sys.stdout.write(text)


def _chosen(asked: list[str] | None, known: list[str], option: str) -> list[str]:
    unknown = set(asked or ()) - set(known)
    if unknown:
        raise typer.BadParameter(
            f"{', '.join(sorted(unknown))}: choose from {', '.join(known)}", param_hint=option
        )
    return [each for each in known if not asked or each in asked]


@contextmanager
def _setups(systems: list[str], sizes: Sizes, program: Path | None) -> Iterator[list[Setup]]:
    with ExitStack() as stack:
        setups = []
        for key in systems:
            url = stack.enter_context(server(program))
            sender = stack.enter_context(Child(SYSTEMS[key], url))
            setups.append(Setup(system=SYSTEMS[key], url=url, sender=sender, sizes=sizes, program=program))
        yield setups


def _rounds(setups: list[Setup], measures: list[str], rounds: int) -> dict[str, Samples]:
    samples: dict[str, Samples] = {setup.system.key: {} for setup in setups}
    for number in range(rounds):
        for name in measures:
            measure = MEASURES[name]
            if measure.once and number > 0:
                continue
            with ThreadPoolExecutor(len(setups) if measure.together else 1) as pool:
                for setup, got in zip(
                    setups, pool.map(_one, setups, repeat(name), repeat(number + 1)), strict=True
                ):
                    for key, values in got.items():
                        samples[setup.system.key].setdefault(key, []).extend(values)
    return samples


def _one(setup: Setup, name: str, number: int) -> Samples:
    what = f"round {number}, {name}: {setup.system.title}"
    err.print(f"{what} …")
    setup.client.flushall()
    begun = time.monotonic()
    try:
        got = MEASURES[name].run(setup)
    finally:
        setup.client.flushall()
    err.print(f"{what}: {time.monotonic() - begun:.1f} s")
    return got


def _machine(client: redis.Redis, load: float) -> str:
    info = client.info("server")
    valkey = info.get("valkey_version")
    kept = f"Valkey {valkey}" if valkey else f"Redis {info['redis_version']}"
    packages = ", ".join(f"{name} {version(name)}" for name in ("dramatiq", "redis", "hiredis"))
    return (
        f"{os.cpu_count()} cores, CPython {platform.python_version()}, {packages}, {kept} on loopback without "
        f"persistence. Load average at the start: {load:.1f}."
    )


if __name__ == "__main__":
    typer.run(main)
