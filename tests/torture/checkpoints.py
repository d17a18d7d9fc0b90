"""Hostile checkpoints: mutated configurations, weights and tokenizers are loaded, or refused by a sentence, in time."""

from __future__ import annotations

import json
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model.checkpoint.files import WeightsError
from model.checkpoint.opening import write_checksums
from model.settings import ModelSettings
from tests.torture.material import flip_bytes
from tests.torture.runner import Form, Kind, Outcome

MAX_SECONDS = 5.0  # of processor time, to refuse or to load
MAX_BYTES = 12 << 30
NUMBERS = (
    0, 1, -1, 2**31, 2**63, 10**18, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"), None, "", "64", [], {},
    True, [[]],
)  # fmt: skip
JSONS = ("config.json", "tokenizer.json", "adapter.json", "confidence.json", "recall.json")

Change = Callable[[random.Random, Path], str]


def a_number(rng: random.Random, folder: Path) -> str:
    """One value of a JSON file, anywhere in it, becomes another."""
    file = rng.choice([folder / name for name in JSONS if (folder / name).exists()])
    content = json.loads(file.read_text("utf-8"))
    place, value = _anywhere(rng, content), rng.choice(NUMBERS)
    holder, key = place
    holder[key] = value
    file.write_text(json.dumps(content), "utf-8")
    return f"{key!r} of {file.name} is {str(value)[:30]!r}"


def a_configured_number(rng: random.Random, folder: Path) -> str:
    content = json.loads((folder / "config.json").read_text("utf-8"))
    key, value = rng.choice(sorted(content)), rng.choice(NUMBERS)
    content[key] = value
    (folder / "config.json").write_text(json.dumps(content), "utf-8")
    return f"{key} is {str(value)[:30]!r}"


def an_offset(rng: random.Random, folder: Path) -> str:
    """The header of a weights file says something else: offsets, shapes, types, or its own length."""
    file = rng.choice(sorted(folder.glob("*.safetensors")))
    content = file.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header: dict[str, Any] = json.loads(content[8 : 8 + length])
    name = rng.choice(sorted(set(header) - {"__metadata__"}))
    start, end = header[name]["data_offsets"]
    other = rng.choice(
        (
            [start, end + 2**40],
            [-8, end],
            [end, start],
            [0, end - start],
            [start - 2, end - 2],
            [start],
            ["0", "8"],
            None,
        )
    )
    field, value = rng.choice(
        (("data_offsets", other), ("shape", [2**40, 2**40]), ("shape", [-1]), ("dtype", "F7"), ("shape", []))
    )
    header[name][field] = value
    packed = json.dumps(header).encode()
    said = rng.choice((len(packed), len(packed), len(packed), 2**62, 0, len(packed) + 10**6))
    file.write_bytes(struct.pack("<Q", said) + packed + content[8 + length :])
    return f"{field} of {name} in {file.name} is {value}, the header's length {said}"


def bytes_of_a_file(rng: random.Random, folder: Path) -> str:
    file = rng.choice(sorted(folder.iterdir()))
    content = flip_bytes(rng, file.read_bytes())
    file.write_bytes(content[: rng.randrange(len(content))] if rng.random() < 0.4 else content)
    return f"bytes of {file.name}"


def nesting(rng: random.Random, folder: Path) -> str:
    file = folder / rng.choice([name for name in JSONS if (folder / name).exists()])
    file.write_text(rng.choice(("[" * 100_000, '{"a":' * 50_000, "[]", "null", "{}", "")), "utf-8")
    return f"{file.name} is nested or empty"


def another_kind_of_file(rng: random.Random, folder: Path) -> str:
    """A file of the checkpoint is a folder, or a link to a device."""
    file = rng.choice(sorted(folder.iterdir()))
    file.unlink()
    if rng.random() < 0.5:
        file.mkdir()
        return f"{file.name} is a folder"
    file.symlink_to("/dev/zero")
    return f"{file.name} is a link to a device"


CHANGES: tuple[Change, ...] = (
    a_number, a_configured_number, a_configured_number, an_offset, an_offset, bytes_of_a_file, nesting,
    another_kind_of_file,
)  # fmt: skip


def case(seed: int, size: int, scratch: Path) -> Outcome:
    """One tiny checkpoint with `size` changes."""
    from model.loading import load_from_settings
    from tests.tiny_checkpoint import write_tiny_checkpoint  # imports torch

    rng = random.Random(seed)
    folder = write_tiny_checkpoint(scratch / "checkpoint")
    done = "; ".join(rng.choice(CHANGES)(rng, folder) for _ in range(size))
    if rng.random() < 0.8 and all(file.is_file() and not file.is_symlink() for file in folder.iterdir()):
        write_checksums(folder)  # whoever writes a hostile checkpoint writes these as well
    began = time.process_time()
    failures, refusals = [], 0
    try:
        load_from_settings(ModelSettings(name=str(folder), engine="onnx"))
    except WeightsError as refused:
        refusals = 1
        failures = [] if str(refused).strip() else ["refused without a word"]
    except Exception as error:
        failures = [f"{type(error).__name__}: {str(error)[:200]}"]
    seconds = time.process_time() - began
    if seconds > MAX_SECONDS:
        failures.append(f"{seconds:.1f} s of processor time")
    return Outcome(
        [f"{done}: {failure}" for failure in failures], {"load_s": round(seconds, 2), "refused": refusals}
    )


def _anywhere(rng: random.Random, content: Any) -> tuple[Any, Any]:
    """A place in nested lists and objects: (what holds it, its key there)."""
    holder, key = None, None
    while isinstance(content, dict | list) and content and (holder is None or rng.random() < 0.8):
        holder = content
        key = rng.choice(sorted(content)) if isinstance(content, dict) else rng.randrange(len(content))
        content = holder[key]
    return holder, key


KIND = Kind(
    "checkpoint",
    case,
    short=Form(8, 1),
    full=Form(1_000, 1),
    limit_seconds=lambda size: 60,
    max_bytes=MAX_BYTES,
)
