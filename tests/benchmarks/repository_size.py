"""`python -m tests.benchmarks.repository_size --out FILE.png`: latency and answers from 1,000 to 2,000,000 lines.

The same cursors in the same files, which every size has; around them more and more of what this machine has of Python.
At each cursor the modes take turns, each from an empty cache; blocks are made before they are timed, as the server
makes them while nobody types. Keys say nothing (FreeEmbedder): words and symbols find what is read. Beside it the bytes
of the index on disk and of this process in memory, and how many answers are those of the smallest repository.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from indexer import Index
from lsp_server.requests import retriever
from model.completer import Completer
from model.evaluation.plots import Curve, curves
from model.loaded import LoadedModel
from model.loading import load_from_settings
from model.request import Request
from model.settings import EMBEDDED_TINY, ModelSettings
from tests.benchmarks.completion import Cursor, cursors
from tests.benchmarks.embedders import FreeEmbedder
from tests.benchmarks.flat import look
from tests.benchmarks.indexing import opened
from tests.benchmarks.measurement import Measurement, heading, json_line, percentiles, table, this_machine
from tests.benchmarks.subjects import Subject

LINES = (1_000, 10_000, 100_000, 500_000, 2_000_000)
MODES = ("none", "snippets", "blocks")
N_CURSORS = 20
_SMALL = 30, 80  # lines
TARGET = "p50 within 10 % of the smallest"


@dataclass(eq=False)
class _Mode:
    """What one mode did in one repository."""

    ms: list[float] = field(default_factory=list)
    prefilled: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.repository_size", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(sysconfig.get_path("purelib")), help="of code")
    parser.add_argument("--lines", default=",".join(map(str, LINES)), metavar="N,...")
    parser.add_argument("--model", default=EMBEDDED_TINY, help="as the setting model.name")
    parser.add_argument("--out", type=Path, metavar="PNG", help="where the figure goes")
    parser.add_argument("--json", action="store_true", help="one JSON line per row")
    options = parser.parse_args(argv)
    sizes = sorted(int(n) for n in options.lines.split(","))
    machine, rows = this_machine(), []
    if not options.json:
        print(heading(machine))
    model = load_from_settings(ModelSettings(name=options.model, context="blocks"))  # with room for all modes
    for row in measured(options.folder.resolve(), sizes, model):
        rows.append(row)
        for line in [json_line(row, machine)] if options.json else table([row]):
            print(line, flush=True)
    if options.out:
        draw(rows, options.out)
    return 0


def measured(folder: Path, sizes: Sequence[int], model: LoadedModel) -> Iterator[Measurement]:
    """One row for each size and mode; fewer sizes where the folder has not so many lines."""
    files = _ordered(folder)
    first: dict[str, _Mode] = {}
    places: list[Cursor] = []
    for wanted in sizes:
        with tempfile.TemporaryDirectory(prefix="hef-benchmark-") as scratch:
            subject = _subject(folder, files, wanted, Path(scratch))
            if subject.n_lines < wanted:
                yield Measurement("size", folder.name, len(files), "left out", {"lines": subject.n_lines})
                return
            places = places or list(cursors(subject, N_CURSORS))
            with opened(subject, fitting_embedder(model)) as index:
                index.update()
                done = {mode: _Mode() for mode in MODES}
                for place in places:
                    for mode, found in done.items():
                        _complete(Completer(model), index, place, mode, found)
                sides = {"index_mb": index.stats().bytes / 1e6, "process_mb": look("self", 0).bytes / 1e6}
        first = first or done
        for mode, found in done.items():
            yield _row(subject, mode, found, first[mode], sides)


def draw(rows: Sequence[Measurement], file: Path) -> None:
    """Median latency and its 95th percentile against the lines of the repository."""
    sides = [
        Curve(
            f"{mode}, {name[:3]}",
            [(row.values["lines"], row.values[name]) for row in rows if row.case == mode],
        )
        for mode in MODES
        for name in ("p50_ms", "p95_ms")
    ]
    curves(file, sides, "A cold completion against the size of the repository", "lines", y="ms", decades=True)


def _row(subject: Subject, mode: str, found: _Mode, smallest: _Mode, sides: dict[str, float]) -> Measurement:
    same = [a == b for a, b in zip(found.texts, smallest.texts, strict=True)]
    values = {"lines": float(subject.n_lines), **percentiles(found.ms)}
    values["times_smallest"] = values["p50_ms"] / percentiles(smallest.ms)["p50_ms"]
    values["prefilled"] = sum(found.prefilled) / len(found.prefilled)
    values["same_answers_percent"] = 100 * sum(same) / len(same)
    return Measurement("size", subject.name, len(subject.files), mode, {**values, **sides}, TARGET)


def fitting_embedder(model: LoadedModel) -> FreeEmbedder:
    if model.encoder is None:
        return FreeEmbedder()
    config = model.encoder.config
    return FreeEmbedder(config.d_key, config.m, config.d_memory)


def _ordered(folder: Path) -> list[tuple[Path, int]]:
    """Its Python files and their lines, in an order that has nothing to do with their names; small ones first, for the
    cursors of all sizes stand in the first 1,000 lines."""
    files = [(file, file.read_bytes().count(b"\n")) for file in folder.rglob("*.py")]
    drawn = sorted(files, key=lambda one: crc32(one[0].relative_to(folder).as_posix().encode()))
    first = [one for one in drawn if _SMALL[0] <= one[1] <= _SMALL[1]][:N_CURSORS]
    return [*first, *(one for one in drawn if one not in first)]


def _subject(folder: Path, files: Sequence[tuple[Path, int]], wanted: int, into: Path) -> Subject:
    """A copy of the first files that have so many lines together; of all, where they have not."""
    root, copies, n_lines = into / folder.name, [], 0
    for file, n in files:
        if n_lines >= wanted:
            break
        target = root / file.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        copies.append(target)
        n_lines += n
    return Subject(folder.name, root, into / "cache", tuple(copies), n_lines)


def _complete(completer: Completer, index: Index, place: Cursor, mode: str, found: _Mode) -> None:
    request = Request(
        place.path,
        place.prefix,
        place.suffix,
        mode,
        finished=lambda text: "\n" in text.lstrip(),
        deadline_ms=float("inf"),
    )
    retrieve = retriever(index)
    completer.prepare(request, retrieve)
    answer = completer.complete(request, retrieve)
    found.ms.append(answer.timings_ms["total"])
    found.prefilled.append(answer.prompt_tokens - answer.reused_tokens)
    found.texts.append(answer.text)


if __name__ == "__main__":
    sys.exit(main())
