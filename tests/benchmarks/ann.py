"""`python -m tests.benchmarks.ann --nodes 1000000`: hnswlib, usearch and exact search over very many keys.

Keys are made like real ones: each is a real key of the embedded fuser (chunks of `--folder`, a sample), moved by noise
with the covariance of the differences between real keys and their nearest ones, and made a unit vector again. Queries
are made in the same way of real keys that no node was made of. Building and searching happen in a process each, one
after the other: its seconds and processor time, bytes on disk, resident memory (that of files apart, which the system
takes back at will), opening (usearch: with every sum looked at, as after a copy, and as found untouched), one search
for 40 keys, and how many of the true 10 nearest are among the first 10.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from indexer import language_of
from indexer.chunking import chunk
from indexer.exact import ExactKeys, NearestKeys
from indexer.hierarchy import leaf_text
from indexer.hnsw import HnswKeys
from indexer.mapped import MappedKeys
from indexer.splitting import ChunkLimits
from model.loading import load_model
from model.settings import EMBEDDED_TINY
from tests.benchmarks.measurement import Measurement, heading, json_line, percentiles, table, this_machine
from tests.memory import held

STRUCTURES = ("exact", "hnswlib", "usearch")
N_REAL, N_QUERIES, K, N_TRUE = 2_048, 200, 40, 10
_MAKE, _TAKE_IN = 50_000, 10_000  # keys at a time
_STORE = "benchmark"


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    if options.step:
        print(json.dumps(_STEPS[options.step](options.folder, options.structure)))
        return 0
    machine = this_machine()
    if not options.json:
        print(heading(machine))
    with tempfile.TemporaryDirectory(prefix="hef-benchmark-") as scratch:
        for row in measured(
            options.folder.resolve(), options.nodes, options.structures.split(","), Path(scratch)
        ):
            for line in [json_line(row, machine)] if options.json else table([row]):
                print(line, flush=True)
    return 0


def measured(folder: Path, n: int, structures: Sequence[str], scratch: Path) -> Iterator[Measurement]:
    """One row for each structure over n keys made like those of a folder's code."""
    real = real_keys(folder)
    make(real, n, scratch)
    for structure in structures:
        values = _in_a_process("build", scratch, structure) if structure != "exact" else {}
        values |= _in_a_process("search", scratch, structure)
        note = f"{len(real):,} real keys"
        yield Measurement("nearest keys", f"{n:,} nodes like {folder.name}", 0, structure, values, note=note)


def real_keys(folder: Path, n: int = N_REAL) -> np.ndarray:
    """float32 [n, d_key] of chunks of the folder's Python files, drawn with a fixed seed."""
    encoder = load_model(EMBEDDED_TINY).encoder
    assert encoder is not None
    files = sorted(folder.rglob("*.py"))
    random.Random(0).shuffle(files)
    texts: list[str] = []
    for file in files:
        text = file.read_text(encoding="utf-8", errors="replace")
        texts += [leaf_text(found) for found in chunk(text, language_of(file.name), ChunkLimits())][:8]
        if len(texts) >= n:
            break
    parts = [encoder.embed(texts[start : start + 64]).keys for start in range(0, min(n, len(texts)), 64)]
    return np.concatenate(parts)[:n].astype(np.float32)


def make(real: np.ndarray, n: int, into: Path) -> None:
    """Write `keys.npy` float16 [n, d_key], `queries.npy` float32 [200, d_key], `true.npy`: the 10 nearest."""
    rng = np.random.default_rng(0)
    likeness = real @ real.T
    np.fill_diagonal(likeness, -1)
    steps = real - real[likeness.argmax(1)]
    spread = np.linalg.cholesky(np.cov(steps.T) + 1e-7 * np.eye(real.shape[1])).astype(np.float32)
    asked, kept = real[:N_QUERIES], real[N_QUERIES:]

    def moved(centers: np.ndarray) -> np.ndarray:
        keys = centers + rng.standard_normal(centers.shape, dtype=np.float32) @ spread.T
        return np.asarray(keys / np.linalg.norm(keys, axis=1, keepdims=True))

    queries = moved(asked)
    keys = np.lib.format.open_memmap(into / "keys.npy", "w+", np.float16, (n, real.shape[1]))
    best_ids = np.zeros((len(queries), 0), np.int64)
    best_scores = np.zeros((len(queries), 0), np.float32)
    for start in range(0, n, _MAKE):
        made = moved(kept[rng.integers(0, len(kept), min(_MAKE, n - start))]).astype(np.float16)
        keys[start : start + len(made)] = made
        scores = queries @ made.astype(np.float32).T
        best_ids = np.hstack([best_ids, np.broadcast_to(np.arange(start, start + len(made)), scores.shape)])
        best_scores = np.hstack([best_scores, scores])
        top = np.argsort(-best_scores, axis=1)[:, :N_TRUE]
        best_ids, best_scores = np.take_along_axis(best_ids, top, 1), np.take_along_axis(best_scores, top, 1)
    keys.flush()
    np.save(into / "queries.npy", queries)
    np.save(into / "true.npy", best_ids)


def build(folder: Path, structure: str) -> dict[str, float]:
    """Make the structure of all keys, and save it."""
    keys = np.load(folder / "keys.npy", mmap_mode="r")
    start, cpu = time.perf_counter(), time.process_time()
    path = folder / structure
    made: HnswKeys | MappedKeys
    made = HnswKeys(keys.shape[1], len(keys)) if structure == "hnswlib" else MappedKeys(path, keys.shape[1])
    for first in range(0, len(keys), _TAKE_IN):
        rows = np.asarray(keys[first : first + _TAKE_IN], np.float32)
        made.add(range(first, first + len(rows)), rows)
        if isinstance(made, MappedKeys):
            made.relieve()
    if isinstance(made, MappedKeys):
        made.drain(0)
        made.save(_STORE)
    else:
        temporary = path.with_suffix(".tmp")
        made.write(temporary)
        made.vouch(temporary, path, _STORE)
    n_bytes = sum(file.stat().st_size for file in folder.glob(f"{structure}*"))
    return {
        "build_s": time.perf_counter() - start,
        "build_cpu_s": time.process_time() - cpu,
        "build_peak_mb": _memory("VmHWM"),
        "bytes_per_key": n_bytes / len(keys),
    }


def search(folder: Path, structure: str) -> dict[str, float]:
    """Open it and ask it all queries."""
    queries, true = np.load(folder / "queries.npy"), np.load(folder / "true.npy")
    before = _memory("RssAnon")
    start = time.perf_counter()
    opened = _OPENERS[structure](folder / structure, queries.shape[1])
    values = {"open_ms": (time.perf_counter() - start) * 1e3}
    if isinstance(opened, MappedKeys):
        time.sleep(2.5)  # a file is believed that has not changed for two seconds
        opened.save(_STORE)
        start = time.perf_counter()
        opened = MappedKeys.load(folder / structure, _STORE, queries.shape[1])
        values["open_untouched_ms"] = (time.perf_counter() - start) * 1e3
    times, hits = [], 0
    for query, wanted in zip(queries, true, strict=True):
        start = time.perf_counter()
        ids, _ = opened.search(query, K)
        times.append((time.perf_counter() - start) * 1e3)
        hits += len(set(ids[:N_TRUE].tolist()) & set(wanted.tolist()))
    values |= percentiles(times)
    values["recall10_percent"] = 100 * hits / true.size
    return values | {"own_mb": _memory("RssAnon") - before, "files_mb": _memory("RssFile")}


def _exact(path: Path, width: int) -> NearestKeys:
    keys = np.load(path.parent / "keys.npy", mmap_mode="r")
    made = ExactKeys()
    for first in range(0, len(keys), _TAKE_IN):
        rows = np.asarray(keys[first : first + _TAKE_IN], np.float32)
        made.add(range(first, first + len(rows)), rows)
    return made


def _in_a_process(step: str, folder: Path, structure: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.ann", "--step", step, "--structure", structure]
    done = subprocess.run([*command, "--folder", str(folder)], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _memory(name: str) -> float:
    """In MB, of Linux's own names for it; 0 where there are none."""
    try:
        return held().get(name, 0) / 1024
    except OSError:
        return 0.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.ann", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--structures", default=",".join(STRUCTURES), metavar="NAME,...")
    parser.add_argument("--folder", type=Path, default=Path(sysconfig.get_path("purelib")), help="of code")
    parser.add_argument("--json", action="store_true", help="one JSON line per row")
    parser.add_argument("--step", choices=sorted(_STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--structure", choices=STRUCTURES, help=argparse.SUPPRESS)
    return parser


_OPENERS: dict[str, Callable[[Path, int], NearestKeys]] = {
    "exact": _exact,
    "hnswlib": lambda path, width: HnswKeys.load(path, _STORE, width),
    "usearch": lambda path, width: MappedKeys.load(path, _STORE, width),
}
_STEPS = {"build": build, "search": search}

if __name__ == "__main__":
    sys.exit(main())
