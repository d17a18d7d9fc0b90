"""A checkpoint on disk: where it is, whether it is whole and untampered, whether we can run it.

Only safetensors are read. Nothing here needs torch: a bad checkpoint is refused before torch is imported.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.checkpoint.architecture import check_architecture
from model.checkpoint.files import (
    MAX_JSON_BYTES,
    MAX_TOKENIZER_BYTES,
    TensorInfo,
    WeightsError,
    git_sha1_of,
    opened,
    read_bytes,
    read_headers,
    read_json,
    require_files,
    sha256_of,
)
from model.checkpoint.finding import EMBEDDED_FOLDER, LARGE, find_folder, has_large, weight_files
from model.checkpoint.hub_cache import hub_name_of
from model.checkpoint.packed import PackedBits, numbers_of, packed_shapes, packing_of
from model.checkpoint.sums import kept_sha256
from model.news import Told, to_nobody

__all__ = [
    "CHECKSUMS",
    "EMBEDDED_FOLDER",
    "LARGE",
    "Checkpoint",
    "WeightsError",
    "check_architecture",
    "check_tensors",
    "find_folder",
    "has_large",
    "open_checkpoint",
    "read_checkpoint",
    "verify_checksums",
    "weight_files",
    "write_checksums",
]

CHECKSUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Checkpoint:
    """A folder that was checked: `config` is its config.json, `tensors` what its safetensors hold."""

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo]
    revision: str  # commit of a hub checkpoint, else ""

    @property
    def packing(self) -> PackedBits | None:
        """How the weights lie in blocks, if they do."""
        return packing_of(self.config)

    def fingerprint(self) -> str:
        """Names these very weights without reading gigabytes: configuration, tokenizer and every 1-D tensor.

        Norms and biases are a thousandth of the bytes, and no training step leaves all of them as they were.
        """
        digest = hashlib.sha256(json.dumps(self.config, sort_keys=True).encode())
        digest.update(read_bytes(self.folder / "tokenizer.json", MAX_TOKENIZER_BYTES))
        for name, tensor in sorted(self.tensors.items()):
            digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
            if len(tensor.shape) == 1:
                with opened(tensor.file) as stream:
                    stream.seek(tensor.offsets[0])
                    digest.update(stream.read(tensor.offsets[1] - tensor.offsets[0]))
        return digest.hexdigest()[:16]


def open_checkpoint(
    name: str,
    *,
    revision: str = "main",
    offline: bool = True,
    embedded: Path = EMBEDDED_FOLDER,
    told: Told = to_nobody,
) -> Checkpoint:
    """Find, verify and describe a checkpoint: "embedded", a folder, or a hub id, which is fetched where it is missing
    and `offline` allows it. Raises WeightsError.

    `embedded`: the folder of the tiny embedded model, in which the large one may lie; neither is trusted without
    checksums.
    """
    folder = find_folder(name, revision=revision, offline=offline, embedded=embedded, told=told)
    required = folder in (embedded, embedded / LARGE)
    return _described(folder, lambda: verify_checksums(folder, required=required, told=told))


def read_checkpoint(folder: Path) -> Checkpoint:
    """Describe what a folder holds without verifying it, which can take to read gigabytes. Raises WeightsError."""
    return _described(folder, lambda: None)


def _described(folder: Path, verify: Callable[[], None]) -> Checkpoint:
    try:
        require_files(folder, ("config.json", "tokenizer.json"))
        config = read_json(folder / "config.json")
        check_architecture(config, folder, hub_name_of(folder))
        files = weight_files(folder)
        verify()
        tensors = read_headers(files)
    except OSError as problem:
        raise WeightsError(f"{folder} cannot be read ({problem.strerror})") from problem
    return Checkpoint(folder, config, tensors, folder.name if hub_name_of(folder) else "")


def check_tensors(checkpoint: Checkpoint, wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Raises WeightsError on any tensor that is missing, foreign, misshapen or of another number format. `wanted`: the
    shapes of the weights, which may lie in blocks."""
    try:
        wanted = packed_shapes(dict(wanted), checkpoint.packing)
    except ValueError as problem:
        raise WeightsError(f"config.json in {checkpoint.folder} cannot be used: {problem}") from problem
    found = {
        name: info.shape
        for name, info in checkpoint.tensors.items()
        # Old exports store the rotary table, and some a copy of the tied head.
        if not name.endswith("rotary_emb.inv_freq") and not (name == "lm_head.weight" and name not in wanted)
    }
    problems = [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    problems += [f"{name} is not a Qwen2 tensor" for name in sorted(found.keys() - wanted.keys())]
    problems += [
        f"{name} is {list(found[name])}, config.json wants {list(shape)}"
        for name, shape in wanted.items()
        if name in found and found[name] != shape
    ]
    problems += [
        f"{name} is {info.dtype}, not {' or '.join(numbers_of(name))}"
        for name, info in checkpoint.tensors.items()
        if name in wanted and info.dtype not in numbers_of(name)
    ]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise WeightsError(
            f"the tensors in {checkpoint.folder} do not fit its config.json: {problems[0]}{more}"
        )


def write_checksums(folder: Path) -> None:
    """Write SHA256SUMS (checkable with `sha256sum -c`) over the model files of `folder`."""
    files = sorted(f for f in folder.iterdir() if f.suffix in (".json", ".safetensors"))
    lines = [f"{sha256_of(file)}  {file.name}\n" for file in files]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def verify_checksums(folder: Path, *, required: bool, told: Told = to_nobody) -> None:
    """Compare every model file with its known checksum. Raises WeightsError with the file and both checksums.

    Known are those in SHA256SUMS and, in the hub's cache, the names of the blobs that the files link to. A file of
    weights that was compared once is read again only when it has changed.
    """
    known = _listed_checksums(folder / CHECKSUMS)
    if required and not known:
        raise WeightsError(f"{folder} has no {CHECKSUMS}: its files cannot be trusted")
    require_files(folder, known)
    for file in sorted(f for f in folder.iterdir() if f.suffix in (".json", ".safetensors")):
        blob = file.resolve().name if file.is_symlink() else ""
        expected = known.get(file.name) or (blob if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", blob) else None)
        if expected is None and known:
            raise WeightsError(f"{file.name} is not listed in {CHECKSUMS}")
        if expected is not None and (actual := _sum_like(expected, file, told)) != expected:
            kind = "sha256" if len(expected) == 64 else "git hash"
            hub = hub_name_of(folder)
            step = f"`hef-lsp --models pull {hub}` fetches it again" if hub else "fetch it again"
            raise WeightsError(
                f"{file.name} was changed or damaged: its {kind} is {actual}, expected {expected}; {step}"
            )


def _sum_like(expected: str, file: Path, told: Told) -> str:
    """The file's own sum, of the kind that is expected."""
    if len(expected) == 40:
        return git_sha1_of(file)
    return kept_sha256(file, told) if file.suffix == ".safetensors" else sha256_of(file)


def _listed_checksums(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    try:
        lines = read_bytes(file, MAX_JSON_BYTES).decode("utf-8").splitlines()
        entries = [line.split(maxsplit=1) for line in lines if line.strip()]
        return {name.lstrip("*"): checksum for checksum, name in entries}
    except ValueError as problem:
        raise WeightsError(f"{file.name} in {file.parent} is not a list of checksums") from problem
