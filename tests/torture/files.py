"""Mutated files through everything that is pure: rules, chunks, blocks, positions, presentation.

A case is one file. It fails when something raises, gives a wrong answer, or takes more than two seconds of processor
time.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from pathlib import Path

from lsprotocol import types

from indexer.chunking import chunk
from indexer.cursor_extent import extent_at
from indexer.languages import LANGUAGES, language_of
from indexer.rules import Rules, relative_path
from indexer.splitting import DEFAULT_LIMITS
from lsp_server.presentation import Suggestion, inserted, present, stop_rule
from lsp_server.snapshot import Buffer, Snapshot, offset_at, take, unix
from tests.torture.material import decoded, model_text, mutated, names_in, piece
from tests.torture.runner import Form, Kind, Outcome

MAX_SECONDS = 2.0  # of processor time, for one step of one file
NAMES = [language.name for language in LANGUAGES]
MAX_RULE_BYTES = 3_000
LINE_END = re.compile(r"\r\n|\n|\r")
ENCODINGS = ("utf-8", "utf-16", "utf-32")
# What an editor must not be given: controls other than tab and line ends, overrides of direction, invisible ones.
UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff]")


def case(seed: int, size: int, scratch: Path) -> Outcome:
    """`size` is how many cursors each file is asked at."""
    rng = random.Random(seed)
    path, content = piece(rng)
    content = mutated(rng, content)
    text = decoded(content)
    steps: dict[str, Callable[[], list[str]]] = {
        "rules": lambda: _rules(rng, content, text, scratch),
        "chunks": lambda: (
            chunk_failures(text, language_of(path.name)) + chunk_failures(text, rng.choice(NAMES))
        ),
        "positions": lambda: _positions(rng, text, size),
        "presented": lambda: _presented(rng, path, text, size),
    }
    failures: list[str] = []
    figures: dict[str, float] = {}
    for name, step in steps.items():
        began = time.process_time()
        failures += [f"{name}: {failure}" for failure in step()]
        seconds = time.process_time() - began
        figures[f"{name}_ns_per_byte"] = seconds * 1e9 / (len(content) + 1_000)
        if seconds > MAX_SECONDS:
            failures.append(f"{name}: {seconds:.1f} s of processor time for {len(content)} bytes")
    return Outcome(failures, figures)


def _rules(rng: random.Random, content: bytes, text: str, root: Path) -> list[str]:
    """The file's bytes as ignore rules, and its words as names."""
    start = rng.randrange(len(content) + 1)
    (root / rng.choice((".gitignore", ".hefignore"))).write_bytes(content[start : start + MAX_RULE_BYTES])
    rules, failures = Rules(root), []
    for name in names_in(rng, text):
        if name.startswith("/") or ".." in name.split("/"):
            continue
        secret = is_secret_by_parts(rules, name)
        if secret != (rules.why_not(name) == "secret"):
            failures.append(f"{name!r} is a secret by its parts: {secret}, and not so as a path")
        if (place := relative_path(root, root / name)) is None or ("\\" in place and "\\" not in name):
            failures.append(f"{name!r} lies at {place!r}")
    return failures


def is_secret_by_parts(rules: Rules, name: str) -> bool:
    """The slow, obvious way: each folder asked for as one (`.env/` holds no secret, `.env` is one), then the file."""
    parts = name.split("/")
    folders = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
    return any(rules.is_secret(folder, True) for folder in folders) or rules.is_secret(name)


def chunk_failures(text: str, language: str) -> list[str]:
    chunks = chunk(text, language, DEFAULT_LIMITS)
    failures = [] if "".join(found.text for found in chunks) == text else ["chunks joined are not the text"]
    line = 1
    for found in chunks:
        n_ends = found.text.count("\n")
        last = line + n_ends - found.text.endswith("\n")
        if (found.first_line, found.last_line) != (line, last):
            failures.append(f"lines {found.first_line} to {found.last_line}, not {line} to {last}")
        if last - line >= DEFAULT_LIMITS.lines or len(found.text) > DEFAULT_LIMITS.chars:
            failures.append(f"a chunk of {last - line + 1} lines and {len(found.text)} characters")
        line += n_ends  # a line that is too long is cut where it stands
    if chunk(text, language, DEFAULT_LIMITS) != chunks:
        failures.append("the same text, cut again, gives other chunks")
    return failures


def _positions(rng: random.Random, text: str, n: int) -> list[str]:
    """Offsets of random positions against the slow, obvious way."""
    lines = [match.end() for match in LINE_END.finditer(text)]
    failures = []
    for encoding in ENCODINGS * n:
        row, column = (
            rng.randrange(len(lines) + 2),
            rng.choice((0, rng.randrange(100), rng.randrange(100_000))),
        )
        wanted = _slow_offset(text, [0, *lines], row, column, encoding)
        found = offset_at(text, types.Position(row, column), encoding)
        if found != wanted:
            failures.append(f"offset {found}, not {wanted}, at {row}:{column} in {encoding}")
    return failures


def _slow_offset(text: str, starts: list[int], row: int, column: int, encoding: str) -> int:
    if row >= len(starts):
        return len(text)
    line = LINE_END.split(text[starts[row] :], maxsplit=1)[0]
    codec, width = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}[encoding]
    cut = line.encode(codec, "surrogatepass")[: column * width]
    return starts[row] + len(cut.decode(codec, "ignore"))


def _presented(rng: random.Random, path: Path, text: str, n: int) -> list[str]:
    failures = []
    for _ in range(n):
        encoding = rng.choice(ENCODINGS)
        language = rng.choice(("python", "text"))
        buffer = Buffer(path.as_uri(), 1, path, language, text)
        row = rng.randrange(text.count("\n") + 1)
        snapshot = take(buffer, types.Position(row, rng.randrange(80)), encoding)
        if snapshot.prefix + snapshot.suffix != unix(text):
            failures.append("prefix and suffix are not the text")
        extent_at(text, rng.randrange(len(text) + 1), language)
        failures += _shown(rng, model_text(rng, text), snapshot)
    return failures


def _shown(rng: random.Random, written: str, snapshot: Snapshot) -> list[str]:
    rule = stop_rule(snapshot, rng.choice((1, 4, 12)))
    rule.finished(written)
    found = present(written, snapshot, rule, whole=rng.random() < 0.5)
    if not isinstance(found, Suggestion):
        return []
    failures, place = [], snapshot.range(found.replace)
    if place.start.line != place.end.line or place.start.character > place.end.character:
        failures.append(f"a range over lines or backward: {place}")
    if snapshot.start > len(snapshot.line_text) or snapshot.end + found.replace > len(snapshot.line_text):
        failures.append(f"replaces {found.replace} characters beyond the line's end")
    if unseen := UNSEEN.search(inserted(found, snapshot)):
        failures.append(f"shows the character {unseen.group()!r}")
    return failures


KIND = Kind(
    "files", case, short=Form(20, 4), full=Form(100_000, 4), limit_seconds=lambda size: 60, max_bytes=8 << 30
)
