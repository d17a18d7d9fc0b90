"""Pieces of real files that are typed anew, drawn with a seed, and what the index knows meanwhile: all but the file."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from indexer import Index


@dataclass(frozen=True)
class Region:
    """Lines of a file, with what stands above and below them. `wanted` begins with the end of the line above."""

    path: str
    above: str
    wanted: str
    below: str = ""


@dataclass(frozen=True)
class Sample:
    """How much is drawn of each repository. `below`: whether what stands below is there while it is typed."""

    n_files: int
    n_lines: int
    seed: int
    below: bool = False


def regions(name: str, texts: Mapping[str, str], sample: Sample) -> list[Region]:
    """One region each of some files that have so many lines, and whose text no other file has. `name`: of the
    repository."""
    copies = Counter(texts.values())
    long = [
        path
        for path, text in sorted(texts.items())
        if len(text.splitlines()) >= sample.n_lines and copies[text] == 1
    ]
    draw = random.Random(f"{sample.seed} {name}")
    paths = draw.sample(long, min(sample.n_files, len(long)))
    return [_region(path, texts[path], sample, draw) for path in paths]


def _region(path: str, text: str, sample: Sample, draw: random.Random) -> Region:
    lines = text.rstrip("\n").split("\n")
    first = draw.randrange(max(1, len(lines) - sample.n_lines + 1))
    end = first + sample.n_lines
    above, wanted = "\n".join(lines[:first]), "\n".join(lines[first:end])
    below = "".join(f"\n{line}" for line in lines[end:]) if sample.below else ""
    return Region(path, above, f"\n{wanted}" if first else wanted, below)


def texts_of(root: Path, index: Index) -> dict[str, str]:
    """The Python files of an index by path, with "\\n" line ends."""
    return {
        path: (root / path).read_text(encoding="utf-8", errors="replace")
        for path in sorted(index.files())
        if path.endswith(".py")
    }


@contextmanager
def unwritten(index: Index, region: Region) -> Iterator[None]:
    """The file is not on the disk, and open as far as it has been written."""
    file = index.root / region.path
    content = file.read_bytes()
    file.unlink()
    try:
        index.update({file})
        index.overlay(file, region.above + region.below)
        yield
    finally:
        index.overlay(file, None)
        file.write_bytes(content)
        index.update({file})
