"""`python -m tests.benchmarks.jumping`: the time to an answer at a cold place of a long file that is open.

A file of 2,000 lines, cursors all over it, each from an empty cache. What is asked in turn: the longest prompt of text
(mode hybrid), the window of the file alone, and blocks in windows of two lengths; the file's other parts have become
blocks before, as in a server while nobody types. Ratios are of medians of one run.
"""

from __future__ import annotations

import argparse
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from statistics import median

from lsp_server.requests import retriever
from model.completer import Completer
from model.loaded import LoadedModel
from model.loading import load_from_settings
from model.repository import Retrieve
from model.request import Completion, Request
from model.settings import EMBEDDED_TINY, ModelSettings
from tests.benchmarks.indexing import opened
from tests.benchmarks.measurement import Measurement, heading, json_line, percentiles, table, this_machine
from tests.benchmarks.repository_size import fitting_embedder
from tests.benchmarks.subjects import Subject, copy_of

N_LINES = 2_000
WINDOWS = (448, 256)  # tokens of the file in front of which blocks stand
TARGET = "p50 <= 60 ms and a third of the prompt of text"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.jumping", description=__doc__)
    default = Path(sysconfig.get_path("purelib"), "huggingface_hub")
    parser.add_argument("--folder", type=Path, default=default, help="of code, with a file of 2,000 lines")
    parser.add_argument("--model", default=EMBEDDED_TINY, help="as the setting model.name")
    parser.add_argument("--cursors", type=int, default=40)
    parser.add_argument("--json", action="store_true", help="one JSON line per row")
    options = parser.parse_args(argv)
    machine = this_machine()
    if not options.json:
        print(heading(machine))
    model = load_from_settings(ModelSettings(name=options.model, context="blocks"))  # with room for all modes
    with tempfile.TemporaryDirectory(prefix="hef-benchmark-") as scratch:
        rows = list(measured(copy_of(options.folder.resolve(), Path(scratch), None), model, options.cursors))
    for line in [json_line(row, machine) for row in rows] if options.json else table(rows):
        print(line, flush=True)
    return 0


def measured(subject: Subject, model: LoadedModel, n_cursors: int) -> Iterator[Measurement]:
    """One row for each way to read. Raises ValueError where no file is long enough."""
    file, lines = _long_file(subject)
    cases = {"hybrid": ("hybrid", None), "none, 448 tokens": ("none", 448)}
    cases |= {f"blocks, {window} tokens": ("blocks", window) for window in WINDOWS}
    done: dict[str, list[Completion]] = {case: [] for case in cases}
    with opened(subject, fitting_embedder(model)) as index:
        index.update()
        retrieve = retriever(index)
        completers = {case: Completer(model) for case in cases}  # blocks stay with theirs
        for row in sorted(Random(5).sample(range(20, len(lines) - 20), n_cursors)):
            for case, (mode, window) in cases.items():
                request = _request(file, lines, row, mode, window)
                done[case].append(_jump(completers[case], request, retrieve))
    before = _median(done["hybrid"], "total")
    for case, found in done.items():
        values = percentiles([one.timings_ms["total"] for one in found])
        values["to_hybrid"] = values["p50_ms"] / before
        values |= {stage: _median(found, stage) for stage in ("retrieve", "prefill", "decode")}
        values["prefilled"] = median(one.prompt_tokens - one.reused_tokens for one in found)
        yield Measurement("jump", f"{file}, {len(lines)} lines", n_cursors, case, values, TARGET)


def _jump(completer: Completer, request: Request, retrieve: Retrieve) -> Completion:
    completer.prepare(request, retrieve)
    return completer.complete(request, retrieve)


def _median(found: Sequence[Completion], stage: str) -> float:
    """Milliseconds."""
    return median(one.timings_ms[stage] for one in found)


def _request(file: str, lines: Sequence[str], row: int, mode: str, window: int | None) -> Request:
    indent = lines[row][: len(lines[row]) - len(lines[row].lstrip())].rstrip("\n")
    return Request(
        file,
        "".join(lines[:row]) + indent,
        "\n" + "".join(lines[row + 1 :]),
        mode,
        window=window,
        finished=lambda text: "\n" in text.lstrip(),
        deadline_ms=float("inf"),
    )


def _long_file(subject: Subject) -> tuple[str, list[str]]:
    """The file nearest to N_LINES of those that have as many, cut there."""
    lengths = {file: file.read_bytes().count(b"\n") for file in subject.files}
    long = [file for file, n in lengths.items() if n >= N_LINES]
    if not long:
        raise ValueError(f"no file of {subject.name} has {N_LINES} lines")
    file = min(long, key=lengths.__getitem__)
    lines = file.read_text("utf-8").splitlines(keepends=True)[:N_LINES]
    return file.relative_to(subject.root).as_posix(), lines


if __name__ == "__main__":
    sys.exit(main())
