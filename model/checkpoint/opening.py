"""A checkpoint on disk: where it is, whether it is whole and untampered, whether we can run it.

Only safetensors are read. Nothing here needs torch: a bad checkpoint is refused before torch is imported.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EMBEDDED_FOLDER = Path(__file__).parents[1] / "pretrained"
CHECKSUMS = "SHA256SUMS"

_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_PATTERNS = ("config.json", "tokenizer.json", "*.safetensors", "*.safetensors.index.json")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_CHUNK_BYTES = 1 << 22
# A header of more than this is not a real one (the safetensors format's own limit).
_MAX_HEADER_BYTES = 100_000_000


class WeightsError(Exception):
    """A model cannot be used; the message names the file and says what the user can do."""


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a safetensors file, from its header."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    offsets: tuple[int, int]  # bytes, from the start of the file


@dataclass(frozen=True)
class Checkpoint:
    """A folder that was checked: `config` is its config.json, `tensors` what its safetensors hold."""

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo]
    revision: str  # commit of a hub checkpoint, else ""

    def fingerprint(self) -> str:
        """Names these very weights without reading gigabytes: configuration, tokenizer and every 1-D tensor.

        Norms and biases are a thousandth of the bytes, and no training step leaves all of them as they were.
        """
        digest = hashlib.sha256(json.dumps(self.config, sort_keys=True).encode())
        digest.update((self.folder / "tokenizer.json").read_bytes())
        for name, tensor in sorted(self.tensors.items()):
            digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
            if len(tensor.shape) == 1:
                with tensor.file.open("rb") as stream:
                    stream.seek(tensor.offsets[0])
                    digest.update(stream.read(tensor.offsets[1] - tensor.offsets[0]))
        return digest.hexdigest()[:16]


def open_checkpoint(name: str, *, revision: str = "main", offline: bool = True) -> Checkpoint:
    """Find, verify and describe a checkpoint: "embedded", a folder, or a hub id. Raises WeightsError."""
    folder = find_folder(name, revision=revision, offline=offline)
    require_files(folder, ("config.json", "tokenizer.json"))
    config = read_json(folder / "config.json")
    check_architecture(config, folder)
    files = weight_files(folder)
    verify_checksums(folder, required=folder == EMBEDDED_FOLDER)
    commit = folder.name if folder.parent.name == "snapshots" else ""
    return Checkpoint(folder, config, read_headers(files), commit)


def find_folder(name: str, *, revision: str = "main", offline: bool = True) -> Path:
    """The folder that `name` stands for; with `offline` the network is never touched. Raises WeightsError."""
    if name == "embedded":
        if not EMBEDDED_FOLDER.is_dir():
            raise WeightsError("this installation has no embedded model (model/pretrained); reinstall hef-lsp")
        return EMBEDDED_FOLDER
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.suffix in _PICKLES:
        raise WeightsError(f"{folder.name} is a pickle, which can run code: only safetensors are loaded")
    if folder.is_file():
        raise WeightsError(f"{folder} is a file; name the folder that holds config.json and the safetensors")
    if not _HUB_ID.fullmatch(name):
        raise WeightsError(
            f"no model at {name}: name 'embedded', a folder, or a hub id such as Qwen/Qwen2.5-Coder-0.5B"
        )
    return _hub_folder(name, revision, offline)


def _hub_folder(name: str, revision: str, offline: bool) -> Path:
    try:
        from huggingface_hub import snapshot_download  # Half a second that only users of hub models pay.
    except ImportError as problem:
        raise WeightsError(f"{name} is a hub id, which needs `pip install huggingface_hub`") from problem
    offline = offline or os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    try:
        return Path(
            snapshot_download(name, revision=revision, allow_patterns=list(_PATTERNS), local_files_only=offline)
        )
    except Exception as problem:
        # The hub raises a dozen kinds (absent, gated, no network, bad revision); all mean the same to the user.
        where = "is not in the local cache" if offline else f"could not be downloaded ({problem})"
        raise WeightsError(
            f"{name} (revision {revision}) {where}: run `hf download {name} --revision {revision}`, "
            "or set model.offline to false while the network is there"
        ) from problem


def require_files(folder: Path, names: Iterable[str]) -> None:
    """Raises WeightsError with the names that are missing in `folder`."""
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise WeightsError(f"{folder} has no {', '.join(missing)}: the checkpoint is incomplete")


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object. Raises WeightsError."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise WeightsError(f"{file.name} cannot be read ({problem})") from problem
    if not isinstance(value, dict):
        raise WeightsError(f"{file.name} is not a JSON object")
    return value


def check_architecture(config: Mapping[str, Any], folder: Path) -> None:
    """Refuse, by name, what the decoder would compute wrongly. Raises WeightsError."""
    kind = config.get("model_type")
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    refused = {
        f"architecture {kind!r}": kind not in ("qwen2", "llama"),
        "code of its own (auto_map)": "auto_map" in config,
        "quantized weights": "quantization_config" in config,
        "scaled rotary positions": rope.get("rope_type", rope.get("type", "default")) != "default",
        "sliding-window attention": bool(config.get("use_sliding_window")),
        f"activation {config.get('hidden_act')!r}": config.get("hidden_act", "silu") != "silu",
        "biases that Llama does not have": bool(
            kind == "llama" and (config.get("attention_bias") or config.get("mlp_bias"))
        ),
    }
    for what, wrong in refused.items():
        if wrong:
            raise WeightsError(f"{folder.name} has {what}: only plain Qwen2 and Llama checkpoints are supported")


def check_tensors(checkpoint: Checkpoint, wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Raises WeightsError on any tensor that is missing, foreign or misshapen."""
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
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise WeightsError(f"the tensors in {checkpoint.folder} do not fit its config.json: {problems[0]}{more}")


def weight_files(folder: Path, stem: str = "model") -> list[Path]:
    """`stem.safetensors` or the shards that its index names. Raises WeightsError naming what is absent, or a pickle."""
    index = folder / f"{stem}.safetensors.index.json"
    if index.is_file():
        names = sorted(set(read_json(index).get("weight_map", {}).values()))
        if any(Path(name).name != name for name in names):
            raise WeightsError(f"{index.name} names files outside its folder")
    else:
        names = [f"{stem}.safetensors"]
    pickles = [name for name in names if not name.endswith(".safetensors")]
    if not all((folder / name).is_file() for name in names):
        pickles += sorted(f.name for f in folder.iterdir() if f.suffix in _PICKLES)
    if pickles:
        raise WeightsError(f"{pickles[0]} is a pickle, which can run code: only safetensors are loaded")
    require_files(folder, names)
    return [folder / name for name in names]


def read_headers(files: Iterable[Path]) -> dict[str, TensorInfo]:
    """What the files of one checkpoint hold together. Raises WeightsError when one is truncated or no safetensors."""
    return {name: info for file in files for name, info in read_header(file).items()}


def read_header(file: Path) -> dict[str, TensorInfo]:
    """What a safetensors file holds. Raises WeightsError when it is truncated or not one."""
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(size, _MAX_HEADER_BYTES):
                raise ValueError("its header is longer than the file")
            header = json.loads(stream.read(length))
        start = 8 + length
        found = {
            name: TensorInfo(
                file,
                info["dtype"],
                tuple(info["shape"]),
                (start + info["data_offsets"][0], start + info["data_offsets"][1]),
            )
            for name, info in header.items()
            if name != "__metadata__"
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as problem:
        raise WeightsError(f"{file.name} is damaged ({problem}); fetch it again") from problem
    end = max((info.offsets[1] for info in found.values()), default=start)
    if end != size:
        raise WeightsError(f"{file.name} is truncated: {size} of {end} bytes; fetch it again")
    return found


def sha256_of(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_CHUNK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def write_checksums(folder: Path) -> None:
    """Write SHA256SUMS (checkable with `sha256sum -c`) over the model files of `folder`."""
    files = sorted(f for f in folder.iterdir() if f.suffix in (".json", ".safetensors"))
    lines = [f"{sha256_of(file)}  {file.name}\n" for file in files]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def verify_checksums(folder: Path, *, required: bool) -> None:
    """Compare every model file with its known checksum. Raises WeightsError with the file and both checksums.

    Known are those in SHA256SUMS and, in the hub's cache, the names of the blobs that the files link to.
    """
    known = _listed_checksums(folder / CHECKSUMS)
    if required and not known:
        raise WeightsError(f"{folder} has no {CHECKSUMS}: its files cannot be trusted")
    require_files(folder, known)
    for file in sorted(f for f in folder.iterdir() if f.suffix in (".json", ".safetensors")):
        blob = file.resolve().name if file.is_symlink() else ""
        expected = known.get(file.name) or (blob if re.fullmatch("[0-9a-f]{64}", blob) else None)
        if expected is None and known:
            raise WeightsError(f"{file.name} is not listed in {CHECKSUMS}")
        if expected is not None and (actual := sha256_of(file)) != expected:
            raise WeightsError(
                f"{file.name} was changed or damaged: its sha256 is {actual}, expected {expected}; fetch it again"
            )


def _listed_checksums(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    entries = (line.split(maxsplit=1) for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    return {name.lstrip("*"): checksum for checksum, name in entries}
