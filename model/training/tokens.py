"""The token file: every kept file's tokens in one uint16 array, and the repositories that they make up.

Small enough to travel to another machine, and complete: the byte-level tokenizer gives the text back exactly.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TokenSpan:
    """One file: tokens [start, end) of the array."""

    path: str
    start: int
    end: int


@dataclass(frozen=True)
class TokenRepository:
    name: str
    version: str
    license: str
    files: tuple[TokenSpan, ...]

    @property
    def n_tokens(self) -> int:
        return sum(span.end - span.start for span in self.files)


@dataclass(frozen=True)
class TokenFile:
    """`tokens` uint16 [n]."""

    tokens: np.ndarray
    repositories: tuple[TokenRepository, ...]

    @classmethod
    def load(cls, folder: Path) -> TokenFile:
        raw = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        return cls(np.fromfile(folder / "tokens.bin", dtype="<u2"), tuple(map(_repository, raw)))


class TokenWriter:
    """Collects repositories and writes the file."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []
        self._repositories: list[TokenRepository] = []
        self._length = 0

    def add(self, name: str, version: str, license_name: str, files: Iterable[tuple[str, list[int]]]) -> None:
        spans = tuple(self._append(files))
        if spans:
            self._repositories.append(TokenRepository(name, version, license_name, spans))

    def _append(self, files: Iterable[tuple[str, list[int]]]) -> Iterator[TokenSpan]:
        for path, ids in files:
            if max(ids, default=0) > np.iinfo(np.uint16).max:
                raise ValueError(f"{path}: a token id does not fit 16 bits")
            self._parts.append(np.array(ids, dtype="<u2"))
            yield TokenSpan(path, self._length, self._length + len(ids))
            self._length += len(ids)

    def save(self, folder: Path) -> int:
        """Write `tokens.bin` and `index.json`; returns the number of tokens."""
        folder.mkdir(parents=True, exist_ok=True)
        tokens = np.concatenate(self._parts) if self._parts else np.zeros(0, "<u2")
        tokens.tofile(folder / "tokens.bin")
        index = [
            {"name": r.name, "version": r.version, "license": r.license}
            | {"files": [[f.path, f.start, f.end] for f in r.files]}
            for r in self._repositories
        ]
        (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
        return len(tokens)


def _repository(raw: dict[str, Any]) -> TokenRepository:
    files = tuple(TokenSpan(*file) for file in raw["files"])
    return TokenRepository(raw["name"], raw["version"], raw["license"], files)
