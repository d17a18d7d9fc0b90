"""One completion by stage, in the process: what the model thread does for a request, without the protocol around it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer import Embedder, Index, Query
from model.completer import Completer
from model.loaded import LoadedModel
from model.repository import RetrievalQuery
from model.request import Completion, Request
from model.settings import CONTEXT_MODES
from tests.benchmarks.indexing import opened
from tests.benchmarks.measurement import Measurement, percentiles
from tests.benchmarks.subjects import Subject

N_COLD = 20
N_LINES = 8
KEYSTROKES = 16
STAGES = ("retrieve", "prefill", "decode", "total")


@dataclass(frozen=True)
class Cursor:
    """A place inside a line of a real file; `line` is what stands there to be typed."""

    path: str
    prefix: str
    line: str
    suffix: str


@dataclass(frozen=True)
class _Timed:
    """A completion, and the processor time of this process for it (of all threads)."""

    completion: Completion
    cpu_ms: float


def cold(subject: Subject, model: LoadedModel, embedder: Embedder) -> Iterator[Measurement]:
    """First request at a place: nothing is in the cache. One row per context mode; modes take turns at each cursor.

    The index holds vectors that say nothing (see FreeEmbedder), so what is written is not to be judged here; how long
    each stage takes does not depend on what the vectors say. An answer ends with its line or after 48 tokens.
    """
    done: dict[str, list[_Timed]] = {mode: [] for mode in _modes(model)}
    with opened(subject, embedder) as index:
        for cursor in cursors(subject, N_COLD):
            for mode, completions in done.items():
                completions.append(_complete(Completer(model), index, cursor, mode))
    for mode, completions in done.items():
        yield Measurement("cold completion", subject.name, len(subject.files), mode, _by_stage(completions))


def typed(subject: Subject, model: LoadedModel, embedder: Embedder) -> Iterator[Measurement]:
    """Real lines typed one character at a time, with a request after each: the cache is warm, nothing is typed along.

    In the editor most of these keystrokes follow the suggestion and never reach the model.
    """
    done: list[_Timed] = []
    with opened(subject, embedder) as index:
        for cursor in cursors(subject, N_LINES):
            completer = Completer(model)
            strokes = [_complete(completer, index, now, "auto") for now in _keystrokes(cursor)]
            done += strokes[1:]  # the first one is cold
    values = _by_stage(done)
    prompts = sum(one.completion.prompt_tokens for one in done)
    values["reused_percent"] = 100 * sum(one.completion.reused_tokens for one in done) / prompts
    target, note = "p50 <= 120 ms, p95 <= 300 ms", f"{len(done)} keystrokes"
    yield Measurement(
        "keystroke", subject.name, len(subject.files), "warm, model asked", values, target, note
    )


def cursors(subject: Subject, n: int) -> Iterator[Cursor]:
    """Starts of code lines of 20 characters and more, one per file, drawn with a fixed seed."""
    draw = random.Random(2)
    n_found = 0
    for file in subject.sample(n * 3):
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        rows = [
            row
            for row, line in enumerate(lines)
            if len(line.strip()) >= 20 and not line.lstrip().startswith("#")
        ]
        if len(rows) > 5 and n_found < n:
            n_found += 1
            yield _cursor(subject, file, lines, draw.choice(rows[5:]))


def _cursor(subject: Subject, file: Path, lines: Sequence[str], row: int) -> Cursor:
    code = lines[row].strip()
    indent = lines[row][: len(lines[row]) - len(lines[row].lstrip())]
    path = file.relative_to(subject.root).as_posix()
    return Cursor(path, "".join(lines[:row]) + indent, code, "\n" + "".join(lines[row + 1 :]))


def _keystrokes(cursor: Cursor) -> Iterator[Cursor]:
    for n in range(min(KEYSTROKES, len(cursor.line))):
        yield Cursor(cursor.path, cursor.prefix + cursor.line[:n], cursor.line[n:], cursor.suffix)


def _complete(completer: Completer, index: Index, cursor: Cursor, mode: str) -> _Timed:
    def retrieve(query: RetrievalQuery) -> Sequence[object]:
        return index.search(Query(query.path, query.before, query.after, query.key))

    request = Request(
        cursor.path,
        cursor.prefix,
        cursor.suffix,
        mode,
        finished=lambda text: "\n" in text.lstrip(),
        deadline_ms=60_000,
    )
    cpu_start = time.process_time()
    completion = completer.complete(request, retrieve)
    return _Timed(completion, (time.process_time() - cpu_start) * 1e3)


def _by_stage(timed: Sequence[_Timed]) -> dict[str, float]:
    completions = [one.completion for one in timed]
    values = {}
    for stage in STAGES:
        found = percentiles([c.timings_ms[stage] for c in completions])
        values |= {f"{stage}_{name}": value for name, value in found.items()}
    values |= {f"cpu_{name}": value for name, value in percentiles([one.cpu_ms for one in timed]).items()}
    n_tokens = sum(c.tokens for c in completions)
    values["decode_ms_per_token"] = sum(c.timings_ms["decode"] for c in completions) / max(1, n_tokens)
    values["tokens"] = n_tokens / len(completions)
    values["prompt_tokens"] = float(np.mean([c.prompt_tokens for c in completions]))
    return values


def _modes(model: LoadedModel) -> list[str]:
    """Those that the model reads by themselves; where one stands in for another, only that one."""
    completer = Completer(model)
    return [mode for mode in CONTEXT_MODES if completer.mode(mode) == mode]
