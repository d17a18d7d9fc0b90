"""`python -m tests.benchmarks.languages FOLDER [--only KIN ...] [--mutated N] [--cursors N] [--misses]`

One repository per language, each in a folder of FOLDER (`typescript/`, `go/`, ...): whether chunks cover every file
byte for byte, symbols against Universal Ctags, chunks per second of processor time, completions at real cursors, and
mutated files. Ctags must be on PATH; HEF_CACHE_DIR should name a folder that may go.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from lsprotocol.types import Position

from indexer.chunking import Chunk, chunk
from indexer.languages import TEXT, known_language, language_of
from lsp_server.account import account_of
from lsp_server.commands import COLD_DEADLINE_MS, index_of, loaded
from lsp_server.holdings import Holding
from lsp_server.presentation import stop_rule
from lsp_server.requests import request_for, retriever
from lsp_server.settings import Settings
from lsp_server.snapshot import Buffer, Snapshot, take
from tests.torture.files import chunk_failures
from tests.torture.material import decoded, mutated

MAX_BYTES = 1_000_000  # what the index reads of a file, unless told otherwise
MUTATED_BYTES = 4_000
SHOWN = 40
EMBED_SECONDS = 30.0  # after which completions go without the vectors that are missing
# Ctags' kinds that are no names which other files know, or that the index leaves out on purpose, as it does in Python:
# fields, parameters, locals, what is included, namespaces and packages.
LEFT_OUT = frozenset({
    "anonMember", "externvar", "field", "getter", "header", "implementation", "label", "local", "macroparam", "member",
    "module", "name", "namespace", "package", "packageName", "parameter", "property", "receiver", "setter", "tparam",
    "unknown", "using",
})  # fmt: skip
ECMA = ("javascript", "javascriptreact", "typescript", "typescriptreact")
LOCAL = frozenset({"function", "method", "func", "generator", "getter", "setter"})


@dataclass(frozen=True)
class Tag:
    name: str
    path: str
    line: int
    kind: str
    is_local: bool


@dataclass(frozen=True)
class Compared:
    """Symbols by path and name against tags, and what either has alone."""

    n_tags: int
    n_symbols: int
    missed: Sequence[Tag]
    alone: Sequence[tuple[str, str, int]]

    def row(self) -> dict[str, float]:
        recall = 1 - len(self.missed) / max(self.n_tags, 1)
        precision = 1 - len(self.alone) / max(self.n_symbols, 1)
        return {"tags": self.n_tags, "symbols": self.n_symbols, "recall": recall, "precision": precision}


def files_of(folder: Path) -> list[Path]:
    """The files of the language that a folder is named for, and of its kin."""
    known = known_language(folder.name)
    assert known is not None, f"{folder.name} is no language"

    def is_kin(path: Path) -> bool:
        other = known_language(language_of(path.name))
        return other is not None and other.kin == known.kin

    found = (path for path in sorted(folder.rglob("*")) if is_kin(path) and path.is_file())
    return [path for path in found if path.stat().st_size <= MAX_BYTES and not path.is_symlink()]


def chunked(files: Sequence[Path]) -> tuple[dict[str, list[Chunk]], dict[str, float]]:
    """Chunks by path, and how fast they came. Raises AssertionError on a byte that is in none."""
    texts = {str(path): path.read_bytes().decode("utf-8", "replace") for path in files}
    for text in list(texts.items())[:3]:
        chunk(text[1], language_of(text[0]))  # grammars and queries are loaded once
    found, began = {}, time.thread_time()
    for path, text in texts.items():
        found[path] = chunk(text, language_of(path))
    seconds = time.thread_time() - began
    for path, chunks in found.items():
        assert "".join(one.text for one in chunks) == texts[path], path
        assert b"".join(one.text.encode() for one in chunks) == texts[path].encode(), path
    n_bytes, n_chunks = sum(map(len, texts.values())), sum(map(len, found.values()))
    n_lines = sum(text.count("\n") for text in texts.values())
    return found, {
        "files": len(texts), "lines": n_lines, "chunks": n_chunks, "chunks_per_cpu_s": n_chunks / seconds,
        "mb_per_cpu_s": n_bytes / seconds / 1e6,
    }  # fmt: skip


def tags_of(files: Sequence[Path]) -> Iterator[Tag]:
    """What Universal Ctags finds, all kinds of it."""
    command = ["ctags", "--output-format=json", "--fields=+nKsZE", "--kinds-all=*", "-f", "-", "-L", "-"]
    done = subprocess.run(
        command,
        input="\n".join(map(str, files)),
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
    )
    for line in done.stdout.splitlines():
        told = json.loads(line)
        scope, kind = told.get("scopeKind", ""), told["kind"]
        is_local = scope in LOCAL or told["name"].startswith(("__anon", "anonymous", "AnonymousFunction"))
        name = told["name"].rpartition("::")[2].replace("operator ", "operator")
        yield Tag(name, told["path"], told["line"], kind, is_local or _is_none(kind, told))


def _is_none(kind: str, told: Mapping[str, str]) -> bool:
    """Include guards; and what ctags says of JavaScript: objects are classes to it, variables of functions are those of
    the file, and what `require` gives is a constant."""
    line = told.get("pattern", "").removeprefix("/^").removesuffix("$/")
    if kind == "macro":
        return len(line.split()) < 3
    if language_of(told["path"]) not in ECMA:
        return False
    if kind == "class":
        return "class" not in line
    return kind in ("constant", "variable") and (line[:1].isspace() or "require(" in line)


def compared(found: Mapping[str, Sequence[Chunk]], tags: Sequence[Tag]) -> Compared:
    """A name that ctags has in a file is found where a symbol of the chunk around that line has it.

    The other way the file is enough: of overloads ctags has one.
    """
    wanted = [tag for tag in tags if tag.kind not in LEFT_OUT and not tag.is_local]
    told = {(tag.path, tag.name) for tag in tags}
    symbols: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for path, chunks in found.items():
        for one in chunks:
            for symbol in one.symbols:
                symbols.setdefault((path, symbol.name), []).append((one.first_line, one.last_line))

    def is_found(tag: Tag) -> bool:
        # A tag is at the name's line or at that of what is before it: a template, a type.
        return any(first - 3 <= tag.line <= last + 3 for first, last in symbols.get((tag.path, tag.name), ()))

    missed = [tag for tag in wanted if not is_found(tag)]
    alone = [
        (path, name, first)
        for (path, name), places in symbols.items()
        for first, _ in places
        if (path, name) not in told
    ]
    return Compared(len(wanted), sum(map(len, symbols.values())), missed, alone)


def mutated_files(files: Sequence[Path], n: int, seed: int = 1) -> tuple[int, float, list[str]]:
    """(how many, the slowest's seconds of processor time, what failed) of mutated pieces of files."""
    rng, slowest, failures = random.Random(seed), 0.0, []
    for _ in range(n):
        path = rng.choice(files)
        content = path.read_bytes()
        start = rng.randrange(max(1, len(content) - MUTATED_BYTES))
        text = decoded(mutated(rng, content[start : start + rng.randrange(200, MUTATED_BYTES)]))
        began = time.thread_time()
        try:
            failures += [f"{path}: {failure}" for failure in chunk_failures(text, language_of(path.name))]
        except Exception as error:
            failures.append(f"{path}: {type(error).__name__}: {error}")
        slowest = max(slowest, time.thread_time() - began)
    return n, slowest, failures


def completions(root: Path, files: Sequence[Path], n: int, model: str) -> dict[str, float]:
    """What there is for who asks at `n` places inside of real lines, whose rest is deleted, with a new index."""
    base = Settings()
    settings = replace(base, model=replace(base.model, name=model, deadline_ms=COLD_DEADLINE_MS))
    rng, offered, exact = random.Random(2), 0, 0
    end = time.monotonic() + EMBED_SECONDS
    with loaded(settings) as (coder, thread), closing(index_of(root, settings, coder, thread)) as index:
        index.update(cancelled=lambda: time.monotonic() > end)
        for path in rng.sample(list(files), n):
            snapshot, rest = _cut(path, rng)
            index.overlay(path, snapshot.prefix + snapshot.suffix)
            rule = stop_rule(snapshot, settings.completion.max_lines)
            request = request_for(
                snapshot, settings, index, deadline_ms=COLD_DEADLINE_MS, finished=rule.finished,
                holding=Holding(index.tokens, None, None),
            )  # fmt: skip
            completion = coder.completer.complete(request, retriever(index))
            text = account_of(completion, snapshot, rule, settings, "").text
            offered += bool(text)
            exact += text.split("\n")[0].strip() == rest.strip()
    return {"cursors": n, "offered": offered, "exact_lines": exact}


def _cut(path: Path, rng: random.Random) -> tuple[Snapshot, str]:
    """A document whose cursor is inside of a line of code, and what is deleted of the line behind it."""
    lines = path.read_bytes().decode("utf-8", "replace").splitlines() or [""]
    rows = [row for row, line in enumerate(lines) if len(line.strip()) > 8 and line.strip()[:1] not in "/*#"]
    row = rng.choice(rows or [0])
    line = lines[row]
    column = rng.randrange(len(line) - len(line.lstrip()), len(line)) if line.strip() else 0
    text = "\n".join([*lines[:row], line[:column], *lines[row + 1 :]])
    buffer = Buffer(path.as_uri(), None, path, language_of(path.name), text)
    return take(buffer, Position(row, column), "utf-32"), line[column:]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.languages", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--mutated", type=int, default=0, help="mutated files, all languages together")
    parser.add_argument("--cursors", type=int, default=0, help="completions per language")
    parser.add_argument("--model", default="embedded-tiny", help="which coder completes")
    parser.add_argument(
        "--misses", action="store_true", help="show names that only ctags or only the index has"
    )
    told = parser.parse_args(arguments)
    folders = [one for one in sorted(told.folder.iterdir()) if one.is_dir() and language_of(one.name) == TEXT]
    folders = [
        one for one in folders if known_language(one.name) and (not told.only or one.name in told.only)
    ]
    n_failed = 0
    for folder in folders:
        files = files_of(folder)
        found, rates = chunked(files)
        both = compared(found, list(tags_of(files)))
        print(json.dumps({"language": folder.name, **rates, **both.row()}), flush=True)
        if told.misses:
            show(both)
        if told.mutated:
            n, slowest, failures = mutated_files(files, told.mutated // len(folders))
            n_failed += len(failures)
            print(
                json.dumps(
                    {"language": folder.name, "mutated": n, "slowest_s": slowest, "failed": failures[:5]}
                )
            )
        if told.cursors:
            done = completions(folder, files, told.cursors, told.model)
            print(json.dumps({"language": folder.name, **done}), flush=True)
    return 1 if n_failed else 0


def show(both: Compared) -> None:
    print("  missed by kind:", Counter(tag.kind for tag in both.missed).most_common(9))
    for tag in random.Random(0).sample(both.missed, min(SHOWN, len(both.missed))):
        print(f"  - {tag.kind} {tag.name} {tag.path}:{tag.line}")
    for path, name, line in random.Random(0).sample(both.alone, min(SHOWN // 2, len(both.alone))):
        print(f"  + {name} {path}:{line}")


if __name__ == "__main__":
    sys.exit(main())
