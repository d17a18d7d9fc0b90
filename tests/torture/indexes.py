"""A small repository, its index without a model, and what two indexes must agree on."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from indexer import Index, IndexSettings, Query
from model.vocabulary import Vocabulary
from tests.indexer.conftest import HashEmbedder
from tests.torture.runner import ROOT

CANARY = "zqcanary"  # in every text of a repository: nobody else says it
WORDS = (
    "ledger",
    "customer",
    "invoice",
    "total",
    "period",
    "account",
    "balance",
    "entry",
    "report",
    "budget",
)
VECTORS, TOLERANCE = ("keys", "memories"), 0.01
# What the store says of the living. Ids and times differ from store to store, contents must not.
LIVING = {
    "entries": "SELECT e.path, e.level, e.size, e.content, n.digest FROM entries e LEFT JOIN nodes n ON n.id = e.node",
    "places": "SELECT e.path, p.ordinal, n.digest, p.first_line, p.last_line FROM places p "
    "JOIN entries e ON e.id = p.entry JOIN nodes n ON n.id = p.node",
    "nodes": "SELECT digest, level, height, children, embedded FROM nodes WHERE alive = 1",
    "texts": "SELECT n.digest, t.scope, t.text, t.signature FROM nodes n JOIN {texts} t ON t.id = n.id "
    "WHERE n.alive = 1",
    "keys": "SELECT n.digest, k.key FROM keys k JOIN nodes n ON n.id = k.id WHERE n.alive = 1",
    "memories": "SELECT n.digest, m.memory FROM memories m JOIN nodes n ON n.id = m.id WHERE n.alive = 1",
    "symbols": "SELECT n.digest, s.name, s.kind FROM symbols s JOIN nodes n ON n.id = s.node WHERE n.alive = 1",
    "words": "SELECT term, doc, cnt FROM words_count",
    "skipped": "SELECT path, reason FROM skipped",
}


def module(rng: random.Random, number: int) -> str:
    """A Python file of a few functions that are like no others."""
    parts = [f"import os\nfrom m{rng.randrange(20)} import {rng.choice(WORDS)}_{CANARY}\n"]
    for i in range(rng.randrange(1, 6)):
        first, second = rng.sample(WORDS, 2)
        body = "".join(
            f"    {second}_{j} = {first} + {rng.randrange(10_000)}\n" for j in range(rng.randrange(1, 9))
        )
        parts.append(
            f"\n\ndef {first}_{CANARY}_{number}_{i}({first}, {second}):\n{body}    return {second}_0\n"
        )
    return "".join(parts)


def write_repository(root: Path, n_files: int, seed: int = 0) -> Path:
    rng = random.Random(seed)
    for number in range(n_files):
        file = root / rng.choice(("", "app", "app/core", "tools")) / f"m{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(module(rng, number))
    return root


def edit(rng: random.Random, root: Path) -> Path:
    """Change, add, rename or delete one file on disk; which one."""
    files = sorted(root.rglob("*.py"))
    file, number = rng.choice(files), rng.randrange(1_000, 1_000_000)
    action = rng.choice(("write", "write", "insert", "add", "rename", "delete"))
    if action == "write":
        file.write_text(module(rng, number))
    elif action == "insert":
        lines = file.read_text().splitlines(keepends=True)
        lines.insert(rng.randrange(len(lines) + 1), f"inserted_{CANARY}_{number} = {number}\n")
        file.write_text("".join(lines))
    elif action == "add" or len(files) < 5:
        file = file.with_name(f"m{number}.py")
        file.write_text(module(rng, number))
    elif action == "rename":
        file = file.rename(file.with_name(f"r{number}.py"))
    else:
        file.unlink()
    return file


@cache
def vocabulary() -> Vocabulary:
    return Vocabulary.load(ROOT / "model" / "pretrained" / "tokenizer.json")


@contextmanager
def opened(root: Path, cache: Path, **settings: Any) -> Iterator[Index]:
    with closing(
        Index.open(root, HashEmbedder(), cache, IndexSettings(**settings), tokenizer=vocabulary())
    ) as index:
        yield index


def living(store: Path) -> dict[str, list[Any]]:
    """What a store holds of the living, in an order of its own."""
    with closing(sqlite3.connect(store)) as db:
        has_texts = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'texts'").fetchone()
        queries = {
            name: query.format(texts="texts" if has_texts else "nodes") for name, query in LIVING.items()
        }
        return {name: sorted(db.execute(query).fetchall(), key=repr) for name, query in queries.items()}


def answers(index: Index) -> list[Any]:
    """Hits, lines and tokens that some questions find."""
    found: list[Any] = []
    for n, words in enumerate(("ledger_total = balance(", "customer_0 = inserted", "invoice period report")):
        key = HashEmbedder().embed([words]).keys[0].astype(np.float32)
        for query in (Query("new.py", words, "", key), Query(f"m{n}.py", words, "", None)):
            found += [
                (h.path, h.first_line, h.last_line, h.level, round(h.score, 6), h.text)
                for h in index.search(query)
            ]
    for word in WORDS:
        line = f"return {word}_0"
        found += sorted((place.path, place.row) for place in index.lines.between([line], [], limit=1_000))
        found += sorted(index.tokens.positions(vocabulary().encode(line), limit=10_000))
    return found


def differences(index: Index, root: Path, scratch: Path, **settings: Any) -> list[str]:
    """What an index that was brought up to date says otherwise than one made from nothing."""
    with opened(root, scratch / "fresh", **settings) as fresh:
        fresh.update()
        failures = compared(living(_store(index)), living(_store(fresh)))
        if answers(index) != answers(fresh):
            failures.append("the same questions get other answers than from a fresh index")
    shutil.rmtree(scratch / "fresh", ignore_errors=True)
    return failures


def compared(found: dict[str, list[Any]], wanted: dict[str, list[Any]]) -> list[str]:
    return [
        f"{name}: {len(found[name])} rows, a fresh store has {len(rows)}; e.g. {_first(found[name], rows)}"
        for name, rows in wanted.items()
        if found[name] != rows and not (name in VECTORS and _near(found[name], rows))
    ]


def _near(found: list[Any], wanted: list[Any]) -> bool:
    """Whether both have the same vectors, but for what a sum in another order changes."""
    if [digest for digest, _ in found] != [digest for digest, _ in wanted]:
        return False
    pairs = zip(found, wanted, strict=True)
    return all(np.allclose(*(_numbers(blob) for _, blob in pair), atol=TOLERANCE) for pair in pairs)


def _numbers(blob: bytes) -> np.ndarray:
    """float16 [n], without a checksum behind them."""
    return np.frombuffer(blob[: len(blob) // 16 * 16], np.float16).astype(np.float32)


def texts_of(root: Path) -> str:
    """All that a true answer may quote."""
    return "\n".join(file.read_text("utf-8", "replace") for file in root.rglob("*") if file.is_file())


def _store(index: Index) -> Path:
    return index.stats().folder / "store.sqlite"


def _first(found: list[Any], wanted: list[Any]) -> str:
    odd = [row for row in found if row not in wanted] or [row for row in wanted if row not in found]
    return repr(odd[0])[:160] if odd else "the same rows in another number"
