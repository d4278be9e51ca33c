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
    """A module of this folder that runs beside the platform, and loads while nothing is asked of it yet.

    Parameters:
        module: its name.
        environment: leads to the platform.
    """

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self._module = module
        self._lock = threading.Lock()
        self._is_ready = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.mission.{module}"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, asked: Mapping[str, object]) -> None:
        """Have something done that nothing is answered to."""
        with self._lock:
            self._write(asked)

    def ask(self, asked: Mapping[str, object]) -> dict[str, Any]:
        """Have something done, and get the answer."""
        with self._lock:
            self._write(asked)
            answer: dict[str, Any] = json.loads(self._read())
            return answer

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=TIMEOUT_S)

    def _write(self, asked: Mapping[str, object]) -> None:
        if not self._is_ready:
            assert self._read() == "ready\n", f"{self._module} does not start"
            self._is_ready = True
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked, default=str) + "\n")
        self._process.stdin.flush()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()
