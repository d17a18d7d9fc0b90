"""The real command line as a process of its own, and what it may never do."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests import tiny_coder
from tests.torture.runner import ROOT

LIMIT_SECONDS = 120.0
MAX_BYTES = 12 << 30  # of address space; ONNX Runtime maps much that it never touches
PR_CAPBSET_DROP = 24  # prctl(2)
PAST_MODES = (1, 2, 3)  # capabilities(7): DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER
COMMAND = (sys.executable, "-m", "lsp_server.cli", *tiny_coder.ARGUMENTS)


@dataclass(frozen=True)
class Ended:
    """A process that has ended. `code` is None when it had to be ended."""

    arguments: tuple[str, ...]
    code: int | None
    output: str
    errors: str

    def json(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.output))
        except ValueError:
            return {}

    def failures(self, canary: str, *, codes: tuple[int, ...] = (0, 1)) -> list[str]:
        """What is wrong with any end: a hang, a foreign exit code, a traceback, source text on stderr."""
        found = []
        if self.code is None:
            found.append(f"hangs: no end within {LIMIT_SECONDS:.0f} s")
        elif self.code not in codes:
            found.append(f"exit code {self.code}, not {codes}: {self.errors[-200:]}")
        if "Traceback" in self.errors:
            found.append(f"a traceback: {self.errors[-300:]}")
        if canary in self.errors:
            found.append(f"source text on stderr: {self.errors[-300:]}")
        return [f"{self.arguments[0]}: {problem}" for problem in found]


def environment(cache: Path) -> dict[str, str]:
    return {**os.environ, "HEF_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"}


def command_line(cache: Path, *arguments: str, cwd: Path = ROOT, bound: bool = False) -> Ended:
    """Run `hef-lsp` to its end, or for as long as it may take. `bound`: by files' modes, also as root."""
    try:
        ended = subprocess.run(
            [*COMMAND, *arguments], env=environment(cache), cwd=cwd, capture_output=True, timeout=LIMIT_SECONDS,
            preexec_fn=partial(_limit, bound), check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        return Ended(arguments, None, _text(late.stdout), _text(late.stderr))
    return Ended(arguments, ended.returncode, _text(ended.stdout), _text(ended.stderr))


def begin(cache: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start `hef-lsp` to be killed."""
    return subprocess.Popen(
        [*COMMAND, *arguments], env=environment(cache), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def _limit(bound: bool) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    if bound and os.geteuid() == 0:
        for capability in PAST_MODES:
            ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def _text(output: bytes | None) -> str:
    return (output or b"").decode("utf-8", "replace")
