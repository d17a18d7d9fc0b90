"""`python -m tests.benchmarks [--folder DIR ...] [--only NAME,...] [--json]`: see each benchmark's docstring."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from indexer.hierarchy import FuserEmbedder
from model.checkpoint.files import WeightsError
from model.loaded import LoadedModel
from model.loading import load_model
from model.settings import EMBEDDED_TINY
from tests.benchmarks import (
    cancelling,
    completion,
    drafting,
    engines,
    flat,
    indexing,
    recalling,
    serving,
    typing_replay,
)
from tests.benchmarks.embedders import FreeEmbedder
from tests.benchmarks.measurement import Measurement, heading, json_line, table, this_machine
from tests.benchmarks.subjects import Subject, copy_of, default_folders

TOPICS = (
    "index",
    "edit",
    "reopen",
    "retrieval",
    "completion",
    "recall",
    "drafts",
    "typing",
    "cancel",
    "server",
    "engines",
    "flat",
)
WITHOUT_FOLDERS = {"engines", "flat"}
# Embedding everything in earnest is what the server does first: only on a repository where that takes seconds.
SERVER_MAX_FILES = 200


def main() -> int:
    arguments = _parser().parse_args()
    topics = set(arguments.only.split(",")) if arguments.only else set(TOPICS)
    if unknown := topics - set(TOPICS):
        print(f"no benchmark {', '.join(sorted(unknown))}: known are {', '.join(TOPICS)}", file=sys.stderr)
        return 2
    model = _model(arguments.model)
    machine = this_machine()
    if not arguments.json:
        print(heading(machine))
    on_folders = (
        _measured(_folders(arguments.folder), topics, model, arguments.model)
        if topics - WITHOUT_FOLDERS
        else ()
    )
    rows = chain(
        on_folders,
        engines.measured(arguments.model) if "engines" in topics else (),
        flat.flat() if "flat" in topics else (),
    )
    for line in (json_line(row, machine) for row in rows) if arguments.json else table(rows):
        print(line, flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Time the parts and the whole."
    )
    parser.add_argument(
        "--folder",
        type=Path,
        action="append",
        help="code to measure on; repeatable. Unset: what this machine has of about 100, 1,500 and 9,000 Python files",
    )
    parser.add_argument("--only", metavar="NAME,...", help=f"of {', '.join(TOPICS)}")
    parser.add_argument("--model", default=EMBEDDED_TINY, help="as the setting model.name")
    parser.add_argument("--json", action="store_true", help="one JSON line per row")
    return parser


def _folders(named: list[Path] | None) -> list[tuple[Path, int | None]]:
    return [(folder.resolve(), None) for folder in named] if named else [*default_folders()]


def _model(name: str) -> LoadedModel | None:
    try:
        return load_model(name)
    except WeightsError as problem:
        print(f"without a model: {problem}", file=sys.stderr)
        return None


def _measured(
    folders: list[tuple[Path, int | None]], topics: set[str], model: LoadedModel | None, name: str
) -> Iterator[Measurement]:
    for folder, limit in folders:
        with tempfile.TemporaryDirectory(prefix="hef-benchmark-") as scratch:
            subject = copy_of(folder, Path(scratch), limit)
            yield from _on(subject, topics, model)
            if model and len(subject.files) <= SERVER_MAX_FILES:
                if "drafts" in topics:
                    yield from drafting.ablation(subject, model)
                if "typing" in topics:
                    yield from typing_replay.replayed(subject, name)
                if "cancel" in topics:
                    yield from cancelling.cancelled(subject, name)
                if "server" in topics:
                    yield from serving.served(subject, name)


def _on(subject: Subject, topics: set[str], model: LoadedModel | None) -> Iterator[Measurement]:
    """The index is always built: what follows needs it."""
    encoder = model.encoder if model else None
    real = FuserEmbedder(encoder) if encoder else None
    every = max(1, subject.n_lines // 20_000)
    shape = (encoder.config.d_key, encoder.config.m, encoder.config.d_memory) if encoder else (256, 4, 256)
    free = FreeEmbedder(*shape, sample_every=every)
    first = list(indexing.first_index(subject, free))
    if "index" in topics:
        yield from first
        if real:
            yield from indexing.embedding(subject, free.sample, real)
    if "reopen" in topics:
        yield from indexing.reopened(subject, free)
    if "retrieval" in topics:
        yield from indexing.retrieval(subject, free)
    if "completion" in topics and model:
        yield from completion.cold(subject, model, free)
        yield from completion.typed(subject, model, free)
    if "recall" in topics and model:
        yield from recalling.looked_up(subject, model)
    if "edit" in topics:
        yield from indexing.one_edit(subject, free, None)
        if real:
            yield from indexing.one_edit(subject, free, real)


if __name__ == "__main__":
    sys.exit(main())
