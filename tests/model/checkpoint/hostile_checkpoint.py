"""A tiny checkpoint whose files are changed, and how it is loaded without anything being computed."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.checkpoint.adapter import AdapterConfig, fuser_tensors, projector_tensors
from model.checkpoint.coder import Qwen2Config
from model.checkpoint.opening import CHECKSUMS, EMBEDDED_FOLDER, Checkpoint
from model.checkpoint.tensors import reader
from model.loaded import LoadedModel
from model.loading import load_from_settings
from model.settings import ModelSettings

Change = Callable[[Path], object]


@dataclass(frozen=True)
class ReadingEngine:
    """`Engine` that reads every tensor it is handed and computes nothing."""

    name: str = "reading"
    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 1

    def free_bytes(self) -> int | None:
        return None

    def needed_bytes(self, n_weights: int, n_cached: int) -> int:
        return 0

    def decoder(self, checkpoint: Checkpoint, config: Qwen2Config, capacity: int, n_slots: int) -> Any:
        return [reader(checkpoint.tensors)(name) for name in checkpoint.tensors]

    def fuser(self, folder: Path, config: AdapterConfig) -> Any:
        tensors = fuser_tensors(folder, config.fuser)
        return [reader(tensors)(name) for name in tensors]

    def projector(self, folder: Path, config: AdapterConfig) -> Any:
        tensors = projector_tensors(folder, config)
        return [reader(tensors)(name) for name in tensors]


def copy_of(tiny: Path, folder: Path) -> Path:
    """With what the embedded model has beside its weights, and without checksums: a stranger writes his own."""
    shutil.copytree(tiny, folder)
    (folder / CHECKSUMS).unlink()
    for name in ("recall.json", "confidence.json"):
        shutil.copy(EMBEDDED_FOLDER / name, folder / name)
    return folder


def load(folder: Path) -> LoadedModel:
    """Needs `model.weights.choose_engine` to give a ReadingEngine."""
    return load_from_settings(ModelSettings(name=str(folder)))


def edit(name: str, *path: str | int, to: object) -> Change:
    """Put a value into a JSON file."""

    def change(folder: Path) -> None:
        whole = json.loads((folder / name).read_text())
        place = whole
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to
        (folder / name).write_text(json.dumps(whole))

    return change


def without(name: str, *path: str) -> Change:
    def change(folder: Path) -> None:
        whole = json.loads((folder / name).read_text())
        place = whole
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]
        (folder / name).write_text(json.dumps(whole))

    return change


def content(name: str, data: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(data)


def split(file: Path) -> tuple[dict[str, Any], bytes]:
    """Header and data of a safetensors file."""
    raw = file.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def join(file: Path, header: bytes, data: bytes) -> None:
    file.write_bytes(struct.pack("<Q", len(header)) + header + data)


def tensor(name: str, **changes: object) -> Change:
    """Change the entry of a tensor in the header of model.safetensors."""

    def change(folder: Path) -> None:
        header, data = split(folder / "model.safetensors")
        header[name] |= changes
        join(folder / "model.safetensors", json.dumps(header).encode(), data)

    return change


def header(change_header: Callable[[bytes], bytes]) -> Change:
    """Change the bytes of the header of model.safetensors."""

    def change(folder: Path) -> None:
        entries, data = split(folder / "model.safetensors")
        join(folder / "model.safetensors", change_header(json.dumps(entries).encode()), data)

    return change
