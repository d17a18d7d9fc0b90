"""`python -m tests.benchmarks.footprint --folder F [--model NAME]`: what the real server takes; on Linux only.

One server is started with an empty cache and one with what that has left. Each is asked at once, then, once the coder
of the settings has taken over, in some files in turn, where a line is begun at each place. Told are resident megabytes
(of these anonymous, and of mapped files), the most there were so far, and the seconds and processor seconds since the
start. The processor's seconds bear a busy machine, the others do not. `--rest SECONDS`: then nobody types until the
coder's memory is given back, and one key is typed, behind which the coder comes again.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from model.settings import EMBEDDED_TINY
from tests.benchmarks.measurement import Measurement, heading, json_line, table, this_machine
from tests.benchmarks.serving import cpu_seconds
from tests.benchmarks.subjects import Subject, copy_of
from tests.memory import held
from tests.typist import Typist

TARGET = "<= 450 MB, first answer <= 3 s"
N_FILES = 8
MAX_SECONDS = 600.0  # of waiting for one thing
LOOK_SECONDS, QUIET_SHARE = 1.0, 0.05  # of a processor
_FIELDS = {"VmRSS": "rss_mb", "RssAnon": "anonymous_mb", "RssFile": "mapped_mb", "VmHWM": "peak_mb"}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.footprint", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="of code, with 8 files or more")
    parser.add_argument(
        "--model", default="embedded", help="as model.name; 'embedded-large' however slow it is"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting, repeatable"
    )
    parser.add_argument("--rest", type=float, default=0.0, metavar="SECONDS", help="without a key, then one")
    parser.add_argument("--places", type=int, default=30, metavar="N", help="places that are asked at")
    parser.add_argument("--json", action="store_true", help="one JSON line per row")
    options = parser.parse_args(argv)
    machine = this_machine()
    if not options.json:
        print(heading(machine))
    assigned = [f"model.name={options.model}", f"model.idleMinutes={options.rest / 60}", *options.set]
    with tempfile.TemporaryDirectory(prefix="hef-benchmark-") as scratch:
        subject = copy_of(options.folder.resolve(), Path(scratch), None)
        rows = measured(subject, assigned, options.places, rests=options.rest > 0)
        for line in (json_line(row, machine) for row in rows) if options.json else table(rows):
            print(line, flush=True)
    return 0


def measured(
    subject: Subject, assigned: Sequence[str], n_places: int, *, rests: bool = False
) -> Iterator[Measurement]:
    """`assigned`: settings, NAME=VALUE each."""
    for case in ("empty cache", "again"):
        yield from asyncio.run(_session(subject, assigned, n_places, case, rests=rests))


async def _session(
    subject: Subject, assigned: Sequence[str], n_places: int, case: str, *, rests: bool
) -> list[Measurement]:
    files = sorted(subject.files, key=lambda file: file.stat().st_size)[-N_FILES:]
    typist, rows = Typist(), []
    start = time.perf_counter()

    def take(when: str, **more: float) -> None:
        pid = typist.server_pid
        values = (
            memory(pid) | {"seconds": time.perf_counter() - start, "cpu_s": cpu_seconds(pid) or 0.0} | more
        )
        rows.append(
            Measurement("footprint", subject.name, len(subject.files), f"{case}: {when}", values, TARGET)
        )

    try:
        arguments = [part for one in assigned for part in ("--set", one)]
        await typist.serve(subject.root, subject.cache / "server", *arguments)
        texts = {
            typist.open_document(file, file.read_text("utf-8")): file.read_text("utf-8") for file in files
        }
        places = list(_places(texts, n_places))
        await _ask(typist, *places[0])
        take("first answer")
        is_alone = f"model.name={EMBEDDED_TINY}" in assigned
        await until(lambda: _answers(typist, is_alone=is_alone), LOOK_SECONDS / 10)
        take("taken over")
        for place in places:
            await _ask(typist, *place)
            await _quiet(typist)
        take(f"{len(places)} places in {len(files)} files")
        if rests and not is_alone:
            await until(lambda: _is_away(typist), LOOK_SECONDS)
            await _quiet(typist)
            take("given back")
            ms = await _ask(typist, *places[0])
            take("first key behind it", answer_ms=ms)
            await until(lambda: not typist.statuses[-1]["model"].startswith(EMBEDDED_TINY), LOOK_SECONDS / 10)
            take("taken over again")
        await typist.bye()
    finally:
        await typist.leave()
    return rows


def _places(texts: Mapping[str, str], n_places: int) -> Iterator[tuple[str, int]]:
    """Document and offset of beginnings of lines, in another document each time, each further down in it."""
    rounds = -(-n_places // len(texts))
    for n in range(n_places):
        uri = list(texts)[n % len(texts)]
        lines = texts[uri].splitlines(keepends=True)
        row = len(lines) * (1 + n // len(texts)) // (rounds + 1)
        yield uri, len("".join(lines[:row])) + len(lines[row]) - len(lines[row].lstrip(" "))


async def _ask(typist: Typist, uri: str, offset: int) -> float:
    """A line is begun, and each of its characters asked at; the most milliseconds that one of the answers took."""
    most = 0.0
    for character in "se":
        offset = typist.type_at(uri, offset, character)
        _, ms = await typist.suggestion_at(uri, offset)
        most = max(most, ms)
    return most


def _is_away(typist: Typist) -> bool:
    """Whether the coder's memory is given back."""
    return bool(typist.statuses) and any(" rests, " in note for note in typist.statuses[-1]["notes"])


def _answers(typist: Typist, *, is_alone: bool) -> bool:
    """Whether the coder answers that stays; `is_alone`: no other one comes."""
    status = typist.statuses[-1] if typist.statuses else {}
    return (
        status.get("state") == "ready"
        and "loading" not in status["message"]
        and bool(is_alone or status["notes"] or not status["model"].startswith(EMBEDDED_TINY))
    )


async def _quiet(typist: Typist) -> None:
    """Until the server does nothing any more: what was asked for has been read ahead."""
    pid = typist.server_pid
    last = [cpu_seconds(pid) or 0.0]

    def rests() -> bool:
        last.append(cpu_seconds(pid) or 0.0)
        return last[-1] - last[-2] < QUIET_SHARE * LOOK_SECONDS

    await until(rests, LOOK_SECONDS)


async def until(reached: Callable[[], bool], pause: float) -> None:
    """Raises TimeoutError."""
    async with asyncio.timeout(MAX_SECONDS):
        await asyncio.sleep(pause)
        while not reached():
            await asyncio.sleep(pause)


def memory(pid: int) -> dict[str, float]:
    """Megabytes of a process."""
    told = held(pid)
    return {ours: told[theirs] * 1024 / 1e6 for theirs, ours in _FIELDS.items()}


if __name__ == "__main__":
    sys.exit(main())
