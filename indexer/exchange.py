"""What an outliner and its child (`outliner.py`, `outlining.py`) say to each other: frames of bytes.

Nothing that is read here can make more of itself than numbers and words: the child reads what strangers wrote.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import BinaryIO

from indexer.outline import Outline, OutlineDefinition, Symbol, variable
from indexer.splitting import ChunkLimits, MeasuredLines

READY = b"ready"
_LENGTH_BYTES = 4
_EXACT = "surrogatepass"  # any text comes out as it went in


@dataclass(frozen=True)
class OutlineRequest:
    """`source`: UTF-8, lone surrogates as they are. Without `limits` only whether it can be parsed is asked for."""

    language: str
    limits: ChunkLimits | None
    source: bytes

    def packed(self) -> bytes:
        limits = None if self.limits is None else [self.limits.lines, self.limits.chars]
        return json.dumps([self.language, limits]).encode() + b"\n" + self.source

    @staticmethod
    def unpacked(frame: bytes) -> OutlineRequest:
        head, _, source = frame.partition(b"\n")
        language, limits = json.loads(head)
        return OutlineRequest(language, None if limits is None else ChunkLimits(*limits), source)

    @property
    def text(self) -> str:
        return self.source.decode("utf-8", _EXACT)


def exact_bytes(text: str) -> bytes:
    return text.encode("utf-8", _EXACT)


def packed_outline(outline: Outline | None) -> bytes:
    """A variable's signature is its line, which the other side has."""
    if outline is None:
        return b"null"
    definitions = [(one.first, one.row, one.last, one.signature, one.kind) for one in outline.definitions]
    symbols = [
        (row, one.name) if one.kind == "variable" else (row, one.name, one.kind, one.signature, one.depth)
        for row, one in outline.symbols
    ]
    told = [list(outline.forced), list(outline.borders), definitions, symbols]
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode("utf-8", _EXACT)


def unpacked_outline(frame: bytes, lines: MeasuredLines) -> Outline | None:
    """Raises ValueError, TypeError or IndexError for what `packed_outline` has not made of a text of these lines."""
    told = json.loads(frame.decode("utf-8", _EXACT))
    if told is None:
        return None
    forced, borders, definitions, symbols = told
    line = variable(lines)
    return Outline(
        forced,
        borders,
        [OutlineDefinition(*one) for one in definitions],
        [(row, Symbol(*rest) if len(rest) > 1 else line(row, *rest)) for row, *rest in symbols],
    )


def write_frame(stream: BinaryIO, content: bytes) -> None:
    """Raises OSError where nobody reads any more."""
    waiting = memoryview(len(content).to_bytes(_LENGTH_BYTES, "big") + content)
    while waiting:
        waiting = waiting[stream.write(waiting) or 0 :]
    stream.flush()


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next one; None where there is none any more, or only half of one."""
    head = _read(stream, _LENGTH_BYTES)
    return None if head is None else _read(stream, int.from_bytes(head, "big"))


def _read(stream: BinaryIO, n_bytes: int) -> bytes | None:
    parts: list[bytes] = []
    while n_bytes:
        part = stream.read(n_bytes)
        if not part:
            return None
        parts.append(part)
        n_bytes -= len(part)
    return b"".join(parts)
