"""Runs one kind of torture, case after case, in a worker process that may hang, die or eat memory.

A case is named by its kind, seed and size, and nothing else: `python -m tests.torture KIND --seed N --size N` runs it
again. A journal with one JSON line per case lets a killed run go on; lines of another commit do not count.
"""

from __future__ import annotations

import faulthandler
import json
import math
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.memory import peak_mb

ROOT = Path(__file__).resolve().parents[2]
MAX_FAILURES = 5  # of one case that are kept
MAX_MESSAGE = 600  # characters of one


@dataclass(frozen=True)
class Form:
    """How many cases there are, and how large each is; what `size` counts is the kind's own matter."""

    cases: int
    size: int


@dataclass(frozen=True)
class Outcome:
    failures: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    skipped: str = ""  # why the case could not be run here


@dataclass(frozen=True)
class Kind:
    """`case(seed, size, scratch)` has an empty folder of its own; `limit_seconds` by size: later it hangs."""

    name: str
    case: Callable[[int, int, Path], Outcome]
    short: Form
    full: Form
    limit_seconds: Callable[[int], float]
    max_bytes: int | None = None  # of a worker's address space
    seconds_each: float = 0.0  # of a case per size, where a case is long and may be made shorter

    def fitting(self, form: Form, seconds: float) -> Form:
        """A form whose cases are no longer than this time, where that can be."""
        if not self.seconds_each:
            return form
        return Form(form.cases, max(self.short.size, min(form.size, int(seconds / self.seconds_each))))

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Until:
    """How long cases are run, in monotonic seconds: none begins after `last`, and what runs at `end` is cut off."""

    last: float = math.inf
    end: float = math.inf


WITHOUT_END = Until()


@dataclass(frozen=True)
class Record:
    """One case that was run."""

    kind: str
    seed: int
    size: int
    seconds: float
    failures: list[str]
    figures: Mapping[str, float]
    skipped: str
    commit: str


class Worker:
    """A process that runs cases of one kind, begun anew after a case that it did not survive."""

    def __init__(self, kind: Kind, size: int) -> None:
        self._kind, self._size = kind, size
        self._scratch = Path(tempfile.mkdtemp(prefix="hef-torture-")).resolve()
        self._errors = self._scratch / "stderr"
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, seed: int, end: float = math.inf) -> Outcome | None:
        """What became of a case; None where it was not at its end when time was."""
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        limit, left = self._kind.limit_seconds(self._size), max(0.0, end - time.monotonic())
        process.stdin.write(b"%d\n" % seed)
        process.stdin.flush()
        if not select.select([process.stdout], [], [], min(limit, left))[0]:
            tail = self._last_words()
            self._end()
            if left < limit:
                return None
            return Outcome([f"hangs: no end within {limit:.0f} s: {tail}"])
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            self._end()
            return Outcome([f"the process died with {code}: {self._last_words()}"])
        return Outcome(**json.loads(line))

    def close(self) -> None:
        self._end()
        remove(self._scratch)

    def _last_words(self) -> str:
        return self._errors.read_text("utf-8", "replace")[-MAX_MESSAGE + 60 :]

    def _start(self) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "tests.torture",
            self._kind.name,
            "--worker",
            str(self._scratch / "cases"),
        ]
        environment = {**os.environ, "HEF_CACHE_DIR": str(self._scratch / "cache"), "PYTHONPATH": str(ROOT)}
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [*command, "--size", str(self._size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                env=environment, cwd=ROOT, start_new_session=True,
            )  # fmt: skip
        return self._process

    def _end(self) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # with whatever the case has started
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        self._process.wait()
        self._process = None


def serve(kind: Kind, size: int, scratch: Path) -> None:
    """The worker's side: seeds on stdin, outcomes on stdout."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if kind.max_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (kind.max_bytes, kind.max_bytes))
    for line in sys.stdin:
        faulthandler.dump_traceback_later(0.9 * kind.limit_seconds(size))  # says where it hangs
        outcome = run_here(kind, int(line), size, scratch)
        faulthandler.cancel_dump_traceback_later()
        answers.write(json.dumps(asdict(outcome)) + "\n")
        answers.flush()


def run_here(kind: Kind, seed: int, size: int, scratch: Path) -> Outcome:
    """One case in this process; what it raises is a failure."""
    remove(scratch)
    scratch.mkdir(parents=True)
    try:
        outcome = kind.case(seed, size, scratch)
    except Exception as error:
        places = "".join(traceback.format_tb(error.__traceback__)[-3:])
        outcome = Outcome([f"{type(error).__name__}: {str(error)[:300]}\n{places}"])
    finally:
        remove(scratch)
    kept = [failure[:MAX_MESSAGE] for failure in outcome.failures[:MAX_FAILURES]]
    return Outcome(kept, {**outcome.figures, "peak_mb": round(peak_mb())}, outcome.skipped)


def run(
    kind: Kind,
    form: Form,
    seeds: Iterable[int],
    told: Callable[[Record], None] = lambda record: None,
    until: Until = WITHOUT_END,
) -> list[Record]:
    """Run the cases of these seeds, as far as time lasts. `told` hears of each as it ends."""
    worker, commit, records = Worker(kind, form.size), current_commit(), []
    try:
        for seed in seeds:
            began = time.monotonic()
            outcome = worker.run(seed, until.end) if began < until.last else None
            if outcome is None:
                break
            seconds = round(time.monotonic() - began, 3)
            record = Record(
                kind.name,
                seed,
                form.size,
                seconds,
                outcome.failures,
                outcome.figures,
                outcome.skipped,
                commit,
            )
            told(record)
            records.append(record)
    finally:
        worker.close()
    return records


class Journal:
    """One JSON line per finished case."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True)

    def write(self, record: Record) -> None:
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(record)) + "\n")

    def records(self, kind: Kind, size: int) -> list[Record]:
        """What was done of this commit's code."""
        commit = current_commit()
        return [r for r in self._all() if (r.kind, r.size, r.commit) == (kind.name, size, commit)]

    def _all(self) -> Iterator[Record]:
        if not self._file.exists():
            return
        for line in self._file.read_text(encoding="utf-8").splitlines():
            try:
                yield Record(**json.loads(line))
            except (ValueError, TypeError):  # the run was killed while it wrote this one
                continue


def remove(folder: Path) -> None:
    """Delete a folder, a thousand levels deep as well: `shutil.rmtree` calls itself for each."""
    subprocess.run(["rm", "-rf", str(folder)], check=False, capture_output=True)


def current_commit() -> str:
    """The commit of the code, "" where git cannot tell."""
    git = shutil.which("git")
    if git is None:
        return ""
    found = subprocess.run(
        [git, "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return found.stdout.strip()


def reproduction(record: Record) -> str:
    return f"python -m tests.torture {record.kind} --seed {record.seed} --size {record.size}"
