"""Processes beside the platform that take a JSON line each for what they are to do."""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

#: Bounds how long one takes to end once nothing is asked of it any more.
TIMEOUT_S = 60.0


class Helper:
    """A module of this folder that runs beside the platform; started when it is first asked.

    Parameters:
        module: its name.
        environment: leads to the platform.
    """

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self._module = module
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def tell(self, asked: Mapping[str, object]) -> None:
        """Have something done that nothing is answered to."""
        with self._lock:
            self._write(asked)

    def ask(self, asked: Mapping[str, object]) -> dict[str, Any]:
        """Have something done, and get the answer."""
        with self._lock:
            stdout = self._write(asked).stdout
            assert stdout is not None
            answer: dict[str, Any] = json.loads(stdout.readline())
            return answer

    def close(self) -> None:
        """End it, if it was started."""
        if self._process is not None:
            self._process.communicate(timeout=TIMEOUT_S)

    def _write(self, asked: Mapping[str, object]) -> "subprocess.Popen[str]":
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        process.stdin.write(json.dumps(asked, default=str) + "\n")
        process.stdin.flush()
        return process

    def _start(self) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", f"tests.mission.{self._module}"],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", f"{self._module} does not start"
        return process
