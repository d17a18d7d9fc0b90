"""The index: how fast it is built, changed, opened again and searched.

Where the processor is shared with other work, `chunks_per_cpu_s` says what a rate would be without it.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from indexer import Embedder, Index, Progress, Query
from tests.benchmarks.embedders import FreeEmbedder
from tests.benchmarks.measurement import Measurement, percentiles
from tests.benchmarks.subjects import Subject

MAX_SECONDS = 600.0  # of a first index; what is not done by then is not measured
N_EDITS = 20
N_QUERIES = 200
N_EMBEDDED = 192
# A definition on one line, and a body of six lines and more without a blank one.
_DEFINITION = re.compile(
    r"^[ ]*def \w+\(.*:\n(?P<body>(?P<indent>[ ]+)\S.*\n(?:[ ]+\S.*\n){5})", re.MULTILINE
)


def first_index(subject: Subject, embedder: FreeEmbedder) -> Iterator[Measurement]:
    """From nothing to an index, without the fuser: first what words and names need (reading, chunking, digests,
    storing), then what vectors do (storing them, and from `index.exactBelow` on the graph that they are searched by).
    """
    start = _Clock.now()
    stages: dict[str, _Clock] = {}

    def note_stage(progress: Progress) -> None:
        stages.setdefault(progress.stage, _Clock.now())

    with opened(subject, embedder) as index:
        report = index.update(
            progress=note_stage,
            cancelled=lambda: time.perf_counter() - start.seconds > MAX_SECONDS,
        )
        end = _Clock.now()
        stats = index.stats()
    middle = stages.get("embedding", end)
    note = f"stopped after {MAX_SECONDS:.0f} s" if report.cancelled else ""
    values = {**start.rates(middle, report.chunks), "chunks": report.chunks, "lines": subject.n_lines}
    yield _row("first index", subject, "chunk + store", values, ">= 2,000 chunks/s", note)
    values = {**middle.rates(end, report.chunks), "store_mb": stats.bytes / 1e6}
    yield _row(
        "first index", subject, f"vectors, {stats.search} search", values, note=note or "the fuser apart"
    )


@dataclass(frozen=True)
class _Clock:
    """A moment: on the wall, and of this process's processor time."""

    seconds: float
    cpu: float

    @classmethod
    def now(cls) -> _Clock:
        return cls(time.perf_counter(), time.process_time())

    def rates(self, end: _Clock, n_chunks: int) -> dict[str, float]:
        seconds, cpu = end.seconds - self.seconds, end.cpu - self.cpu
        return {"chunks_per_s": n_chunks / seconds, "chunks_per_cpu_s": n_chunks / cpu, "seconds": seconds}


def embedding(subject: Subject, texts: list[str], embedder: Embedder) -> Iterator[Measurement]:
    """The fuser alone on real chunks of the repository, in batches of 16 as the index hands them over."""
    texts = random.Random(0).sample(texts, min(len(texts), N_EMBEDDED))
    if not texts:
        return
    embedder.embed(texts[:16])
    start = _Clock.now()
    for first in range(0, len(texts), 16):
        embedder.embed(texts[first : first + 16])
    values = start.rates(_Clock.now(), len(texts))
    yield _row("first index", subject, "embedding", values, note=f"a sample of {len(texts)} chunks")


def one_edit(subject: Subject, embedder: FreeEmbedder, real: Embedder | None) -> Iterator[Measurement]:
    """One line changed inside one function of one file: from `update` called (the quiet time is over) to retrievable.

    With `real` the changed nodes go through the fuser, as in the server.
    """
    with opened(subject, embedder) as index:
        index.update()
        embedder.real = real
        times, embedded, found = [], [], 0
        for number, file in enumerate(_editable(subject)):
            name = f"edited_name_{number}"
            _edit(file, name)
            before, start = embedder.n_embedded, time.perf_counter()
            index.update([file])
            hits = index.search(_query(f"value = {name}"), 8)
            times.append((time.perf_counter() - start) * 1e3)
            embedded.append(embedder.n_embedded - before)
            found += any(name in hit.text for hit in hits)
        embedder.real = None
    if not times:
        return  # no file has a function to edit
    values = {**percentiles(times), "leaves_mean": float(np.mean(embedded)), "leaves_max": max(embedded)}
    values["retrieved_percent"] = 100 * found / len(times)
    note = f"{len(times)} edits, update and search" + (", with the fuser" if real else ", without the fuser")
    yield _row("one edit", subject, "one line in a function", values, "<= 300 ms, 1 leaf", note)


def reopened(subject: Subject, embedder: FreeEmbedder) -> Iterator[Measurement]:
    """Open the finished index and answer one search; then compare it with the disk, which finds nothing to do."""
    opening, searched, scanned = [], [], []
    for _ in range(5):
        start = time.perf_counter()
        with opened(subject, embedder) as index:
            opening.append(_ms_since(start))
            index.search(_query("import os"), 8)
            searched.append(_ms_since(start))
            start = time.perf_counter()
            index.update()
            scanned.append(_ms_since(start))
            n_chunks = index.stats().chunks
    values = {"open_ms": float(np.median(opening)), "open_and_search_ms": float(np.median(searched))}
    values |= {"scan_ms": float(np.median(scanned)), "chunks": n_chunks}
    yield _row(
        "re-open", subject, "median of 5", values, "<= 300 ms at 100k chunks", "files in the system's cache"
    )


def retrieval(subject: Subject, embedder: FreeEmbedder) -> Iterator[Measurement]:
    """`Index.search` at real cursors: dense with a key, words, and symbols, fused."""
    times = []
    with opened(subject, embedder) as index:
        for query in queries(subject, N_QUERIES, embedder):
            start = time.perf_counter()
            index.search(query, 8)
            times.append(_ms_since(start))
    yield _row(
        "retrieval", subject, "dense + words + symbols", percentiles(times), note=f"{len(times)} cursors"
    )


def queries(subject: Subject, n: int, embedder: Embedder) -> Iterator[Query]:
    """Queries at the ends of lines drawn with a fixed seed; the key is that of the text around the cursor."""
    draw = random.Random(1)
    for file in subject.sample(n):
        text = _text(file)
        cursor = text.find("\n", draw.randrange(len(text) + 1))
        before, after = (text[:cursor], text[cursor:]) if cursor >= 0 else (text, "")
        key = embedder.embed([before[-600:]]).keys[0].astype(np.float32)
        yield Query(file.relative_to(subject.root).as_posix(), before, after, key)


def opened(subject: Subject, embedder: Embedder) -> closing[Index]:
    """The subject's index, to be used in a with statement."""
    return closing(Index.open(subject.root, embedder, subject.cache))


def _editable(subject: Subject) -> list[Path]:
    """Files with a function of several lines."""
    files = (file for file in subject.sample(N_EDITS * 5) if _DEFINITION.search(_text(file)))
    return list(islice(files, N_EDITS))


def _edit(file: Path, name: str) -> None:
    """A new first line in the first such function."""
    text = _text(file)
    found = _DEFINITION.search(text)
    assert found is not None  # `_editable` saw to it
    body = found.start("body")
    file.write_text(f"{text[:body]}{found['indent']}{name} = 1\n{text[body:]}", encoding="utf-8")


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def _query(before: str) -> Query:
    return Query("", before, "", None)


def _ms_since(start: float) -> float:
    return (time.perf_counter() - start) * 1e3


def _row(
    benchmark: str, subject: Subject, case: str, values: dict[str, float], target: str = "", note: str = ""
) -> Measurement:
    return Measurement(benchmark, subject.name, len(subject.files), case, values, target, note)
