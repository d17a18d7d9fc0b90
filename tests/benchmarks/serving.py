"""The real server over stdio with a real client: start, answers while it indexes and afterward, and doing nothing."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks.completion import Cursor, cursors
from tests.benchmarks.measurement import Measurement, percentiles
from tests.benchmarks.subjects import Subject
from tests.typist import Typist

N_PLACES = 24
N_BUSY_PLACES = 8
MAX_WAIT = 300.0  # seconds for the first index; embedding a large repository on a busy CPU takes longer
SETTLE_SECONDS = 3.0  # what was typed last is taken into the index
IDLE_SECONDS = 30.0
EVERYTHING_SHOWN = ("--set", "completion.minConfidence=0")  # what is held back cannot be typed along


def served(subject: Subject, model: str) -> Iterator[Measurement]:
    """Start to first answer, keystroke to answer, typing along a suggestion, what goes on how long after the start, and
    processor time when nothing does."""
    yield from asyncio.run(_session(subject, model))


async def _session(subject: Subject, model: str) -> list[Measurement]:
    places = list(cursors(subject, N_PLACES))
    typist = Typist()
    try:
        began = time.monotonic()
        rows = [
            _row(
                subject,
                "start",
                await _start(typist, subject, model, places[0]),
                "<= 3 s to the first answer",
            )
        ]
        rows += await _answers(typist, subject, places[1 : 1 + N_BUSY_PLACES], " while indexing")
        await _until(typist, _is_ready)
        ready = time.monotonic() - began
        await _until(typist, _is_quiet)
        quiet = time.monotonic() - began
        rows.append(_row(subject, "work after the start", {"indexed_s": ready, "packages_read_s": quiet}, ""))
        rows += await _answers(typist, subject, places[1 + N_BUSY_PLACES :])
        if idle := await _idle(typist):
            rows.append(_row(subject, "idle", idle, "< 0.1 %", f"over {IDLE_SECONDS:.0f} s"))
        await typist.bye()
    finally:
        await typist.leave()
    return rows


async def _start(typist: Typist, subject: Subject, model: str, place: Cursor) -> dict[str, float]:
    """Nothing is cached: the process starts, shakes hands, and is asked at once."""
    start = time.perf_counter()
    await typist.serve(
        subject.root, subject.cache / "server", "--set", f"model.name={model}", *EVERYTHING_SHOWN
    )
    initialized = time.perf_counter() - start
    uri = typist.open_document(subject.root / place.path, place.prefix + place.suffix)
    text, _ = await typist.suggestion_at(uri, len(place.prefix))
    answered = time.perf_counter() - start
    return {"initialize_s": initialized, "first_answer_s": answered, "characters": len(text)}


async def _until(typist: Typist, reached: Callable[[Typist], bool]) -> None:
    end = time.monotonic() + MAX_WAIT
    while not reached(typist) and time.monotonic() < end:
        await asyncio.sleep(0.1)


def _is_ready(typist: Typist) -> bool:
    """The first index is complete."""
    return typist.state not in ("starting", "loading", "indexing")


def _is_quiet(typist: Typist) -> bool:
    """And nothing goes on in the background."""
    return _is_ready(typist) and not any(folder["background"] for folder in typist.statuses[-1]["folders"])


async def _answers(
    typist: Typist, subject: Subject, places: list[Cursor], when: str = ""
) -> list[Measurement]:
    """At each place the first three characters are typed with a request after each; then the suggestion is followed."""
    asked: list[float] = []
    along: list[float] = []
    for place in places:
        uri = typist.open_document(subject.root / place.path, place.prefix + place.suffix)
        offset = len(place.prefix)
        for character in place.line[:3]:
            offset = typist.type_at(uri, offset, character)
            text, ms = await typist.suggestion_at(uri, offset)
            asked.append(ms)
        along += await _type_along(typist, uri, offset, text)
    target = "p50 <= 120 ms, p95 <= 300 ms"
    rows = [_row(subject, f"keystroke to answer{when}", percentiles(asked), target, _n(asked))]
    if along:
        rows.append(_row(subject, f"typed along{when}", percentiles(along), "<= 5 ms", _n(along)))
    return rows


async def _type_along(typist: Typist, uri: str, offset: int, suggestion: str) -> list[float]:
    """Type the beginning of the suggestion; the milliseconds of each answer that is the rest of it."""
    times = []
    for n in range(1, min(8, len(suggestion))):
        offset = typist.type_at(uri, offset, suggestion[n - 1])
        rest, ms = await typist.suggestion_at(uri, offset)
        if rest != suggestion[n:]:
            break
        times.append(ms)
    return times


async def _idle(typist: Typist) -> dict[str, float]:
    """Processor time of the server's process while nobody asks for anything; Linux only."""
    await asyncio.sleep(SETTLE_SECONDS)
    await _until(typist, _is_quiet)
    before = cpu_seconds(typist.server_pid)
    if before is None:
        return {}
    await asyncio.sleep(IDLE_SECONDS)
    return {"cpu_percent": 100 * ((cpu_seconds(typist.server_pid) or before) - before) / IDLE_SECONDS}


def cpu_seconds(pid: int) -> float | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # proc(5): utime and stime


def _row(subject: Subject, case: str, values: dict[str, float], target: str, note: str = "") -> Measurement:
    return Measurement("server", subject.name, len(subject.files), case, values, target, note)


def _n(samples: list[float]) -> str:
    return f"{len(samples)} requests"
