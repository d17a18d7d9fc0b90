"""Files of a checkpoint or an adapter, read with suspicion: strangers made them, and a user only named the folder.

Regular files only, though links are followed (the hub's cache is made of them); sizes are asked of the open file, and
nothing is allocated for what a file merely says of itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError, safe_open

MAX_JSON_BYTES = 4_000_000
MAX_TOKENIZER_BYTES = 64_000_000  # the largest that is known, of 260,000 tokens, has half
NUMBERS = ("F32", "F16", "BF16", "U8", "I8")  # formats that can be read; integers are blocks' (`packed`)

_CHUNK_BYTES = 1 << 22
# Ten times that of the largest known. The format's own limit is 100 MB, which take four seconds to read.
_MAX_HEADER_BYTES = 10_000_000
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class WeightsError(Exception):
    """A model cannot be used; the message names the file and says what the user can do."""


class MissingFilesError(WeightsError):
    """Files of a checkpoint are not there."""


class AbsentError(WeightsError):
    """A model of the hub is not on this machine, or not whole. `step`: the command that fetches it."""

    def __init__(self, message: str, step: str) -> None:
        super().__init__(message)
        self.step = step


class NoRoomError(WeightsError):
    """There is not enough free memory for it; both in bytes."""

    def __init__(self, needed: int, available: int, message: str) -> None:
        super().__init__(message)
        self.needed, self.available = needed, available


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a safetensors file, from its header."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    offsets: tuple[int, int]  # bytes, from the start of the file


@contextmanager
def opened(file: Path) -> Iterator[BinaryIO]:
    """A regular file for reading; never waits for a pipe. Raises WeightsError on anything else."""
    try:
        descriptor = os.open(file, _FLAGS)
    except OSError as problem:
        raise WeightsError(f"{file.name} cannot be read ({problem.strerror})") from problem
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise WeightsError(f"{file.name} is not a regular file")
    with os.fdopen(descriptor, "rb") as stream:
        yield stream


def read_bytes(file: Path, max_bytes: int) -> bytes:
    """All of a file. Raises WeightsError when it cannot be read or is larger than such a file ever is."""
    try:
        with opened(file) as stream:
            content = stream.read(max_bytes + 1) if os.fstat(stream.fileno()).st_size <= max_bytes else None
    except OSError as problem:
        raise WeightsError(f"{file.name} cannot be read ({problem.strerror})") from problem
    if content is None or len(content) > max_bytes:
        raise WeightsError(f"{file.name} has more than {max_bytes / 1e6:g} MB: it is not what its name says")
    return content


def read_json(file: Path, max_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """A JSON object, strictly: no name twice, no NaN. Raises WeightsError."""
    content = read_bytes(file, max_bytes)
    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError) as problem:
        raise WeightsError(f"{file.name} cannot be read ({problem})") from problem
    if not isinstance(value, dict):
        raise WeightsError(f"{file.name} is not a JSON object")
    return value


def require_files(folder: Path, names: Iterable[str]) -> None:
    """Raises MissingFilesError with the names that are missing in `folder`."""
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise MissingFilesError(f"{folder} has no {', '.join(missing)}: the checkpoint is incomplete")


def read_headers(files: Iterable[Path]) -> dict[str, TensorInfo]:
    """What the files of one checkpoint hold together. Raises WeightsError as `read_header` does, and on a name that
    two of them have."""
    found: dict[str, TensorInfo] = {}
    for file in files:
        for name, info in read_header(file).items():
            if name in found:
                raise WeightsError(f"{file.name} and {found[name].file.name} both hold {name:.80}")
            found[name] = info
    return found


def read_header(file: Path) -> dict[str, TensorInfo]:
    """What a safetensors file holds. Raises WeightsError when it is cut or not one, or of another number format.

    The format's own library checks it: no overlaps, no gaps, sizes that fit shapes, all of the file. The header is
    then read again for the offsets, which the library keeps to itself while its numpy knows no bfloat16.
    """
    try:
        with opened(file) as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > _MAX_HEADER_BYTES:
                raise ValueError(f"a header of {length} bytes")
            header = stream.read(length)
        with safe_open(file, framework="np"):
            pass
        if not header.startswith(b"{"):
            raise ValueError("its header does not begin with {")
        entries = json.loads(header, object_pairs_hook=_unique)
    except (OSError, ValueError, RecursionError, SafetensorError) as problem:
        raise WeightsError(f"{file.name} is cut or damaged ({problem}); fetch it again") from problem
    entries.pop("__metadata__", None)
    return {name: _info(file, 8 + length, name, entry) for name, entry in entries.items()}


def sha256_of(file: Path, read: Callable[[int], None] = lambda _: None) -> str:
    """`read` hears how many bytes were read. Raises WeightsError as `opened` does."""
    digest, done = hashlib.sha256(), 0
    with opened(file) as stream:
        while block := stream.read(_CHUNK_BYTES):
            digest.update(block)
            read(done := done + len(block))
    return digest.hexdigest()


def git_sha1_of(file: Path) -> str:
    """What git calls a file of this content, and the hub one that is no large file."""
    content = read_bytes(file, MAX_TOKENIZER_BYTES)
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def stamp(at: os.stat_result) -> str:
    """What changes with a file."""
    kind = stat.S_IFMT(at.st_mode)
    return f"{kind} {at.st_dev} {at.st_ino} {at.st_size} {at.st_mtime_ns} {at.st_ctime_ns}"


def _info(file: Path, start: int, name: str, entry: Mapping[str, Any]) -> TensorInfo:
    if entry["dtype"] not in NUMBERS:
        known = "only F32, F16, BF16, U8 and I8 are supported"
        raise WeightsError(f"{file.name} holds {entry['dtype']} tensors ({name:.80}): {known}")
    begin, end = entry["data_offsets"]
    return TensorInfo(file, entry["dtype"], tuple(entry["shape"]), (start + begin, start + end))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Readers differ in which of two equal names counts; so none does."""
    table = dict(pairs)
    if len(table) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{twice:.80} stands there twice")
    return table


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number")
