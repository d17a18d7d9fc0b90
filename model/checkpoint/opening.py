"""A checkpoint on disk: where it is, whether it is whole and untampered, whether we can run it.

Only safetensors are read. Nothing here needs torch: a bad checkpoint is refused before torch is imported.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.checkpoint.files import (
    MAX_JSON_BYTES,
    MAX_TOKENIZER_BYTES,
    TensorInfo,
    WeightsError,
    opened,
    read_bytes,
    read_headers,
    read_json,
    require_files,
    sha256_of,
)
from model.checkpoint.packed import METHOD, PackedBits, numbers_of, packed_shapes, packing_of
from model.settings import EMBEDDED, EMBEDDED_LARGE, EMBEDDED_TINY

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
    "verify_checksums",
    "weight_files",
    "write_checksums",
]

EMBEDDED_FOLDER = Path(__file__).parents[1] / "pretrained"  # of the tiny one
LARGE = "large"  # folder in that one
CHECKSUMS = "SHA256SUMS"

_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_PATTERNS = ("config.json", "tokenizer.json", "*.safetensors", "*.safetensors.index.json")
_MAX_INDEX_BYTES = 50_000_000
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


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
    name: str, *, revision: str = "main", offline: bool = True, embedded: Path = EMBEDDED_FOLDER
) -> Checkpoint:
    """Find, verify and describe a checkpoint: "embedded", a folder, or a hub id. Raises WeightsError.

    `embedded`: the folder of the tiny embedded model, in which the large one may lie; neither is trusted without
    checksums.
    """
    folder = find_folder(name, revision=revision, offline=offline, embedded=embedded)
    try:
        require_files(folder, ("config.json", "tokenizer.json"))
        config = read_json(folder / "config.json")
        check_architecture(config, folder)
        files = weight_files(folder)
        verify_checksums(folder, required=folder in (embedded, embedded / LARGE))
        tensors = read_headers(files)
    except OSError as problem:
        raise WeightsError(f"{folder} cannot be read ({problem.strerror})") from problem
    commit = folder.name if folder.parent.name == "snapshots" else ""
    return Checkpoint(folder, config, tensors, commit)


def find_folder(
    name: str, *, revision: str = "main", offline: bool = True, embedded: Path = EMBEDDED_FOLDER
) -> Path:
    """The folder that `name` stands for; with `offline` the network is never touched. Raises WeightsError."""
    if name in (EMBEDDED, EMBEDDED_TINY, EMBEDDED_LARGE):
        return _embedded_folder(name, embedded)
    try:
        folder = Path(name).expanduser()
        if folder.is_dir():
            return folder
    except (OSError, RuntimeError) as problem:  # a name that is too long, a home that nobody has
        raise WeightsError(f"no model at {name:.200} ({problem})") from problem
    if folder.suffix in _PICKLES:
        raise WeightsError(f"{folder.name} is a pickle, which can run code: only safetensors are loaded")
    if folder.is_file():
        raise WeightsError(f"{folder} is a file; name the folder that holds config.json and the safetensors")
    if not _HUB_ID.fullmatch(name):
        raise WeightsError(
            f"no model at {name}: name 'embedded', a folder, or a hub id such as Qwen/Qwen2.5-Coder-0.5B"
        )
    return _hub_folder(name, revision, offline)


def has_large(embedded: Path = EMBEDDED_FOLDER) -> bool:
    """Whether the package has the large model."""
    return (embedded / LARGE / "config.json").is_file()


def _embedded_folder(name: str, embedded: Path) -> Path:
    if name == EMBEDDED_LARGE and not has_large(embedded):
        raise WeightsError(
            f"this installation has no large model (model/pretrained/{LARGE}): set model.name to {EMBEDDED}"
        )
    if not embedded.is_dir():
        raise WeightsError("this installation has no embedded model (model/pretrained); reinstall hef-lsp")
    return embedded / LARGE if name != EMBEDDED_TINY and has_large(embedded) else embedded


def _hub_folder(name: str, revision: str, offline: bool) -> Path:
    try:
        from huggingface_hub import snapshot_download  # Half a second that only users of hub models pay.
    except ImportError as problem:
        raise WeightsError(f"{name} is a hub id, which needs `pip install huggingface_hub`") from problem
    offline = offline or os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    try:
        return Path(
            snapshot_download(
                name, revision=revision, allow_patterns=list(_PATTERNS), local_files_only=offline
            )
        )
    except Exception as problem:
        # The hub raises a dozen kinds (absent, gated, no network, bad revision); all mean the same to the user.
        where = "is not in the local cache" if offline else f"could not be downloaded ({problem})"
        raise WeightsError(
            f"{name} (revision {revision}) {where}: run `hf download {name} --revision {revision}`, "
            "or set model.offline to false while the network is there"
        ) from problem


def check_architecture(config: Mapping[str, Any], folder: Path) -> None:
    """Refuse, by name, what the decoder would compute wrongly. Raises WeightsError."""
    kind = config.get("model_type")
    refused = {
        f"architecture {kind!r}": kind not in ("qwen2", "llama"),
        "code of its own (auto_map)": "auto_map" in config,
        "quantized weights": _quantized_by_others(config.get("quantization_config")),
        "scaled rotary positions": any(
            _scaled(config.get(key)) for key in ("rope_scaling", "rope_parameters")
        ),
        "sliding-window attention": bool(config.get("use_sliding_window")),
        f"activation {config.get('hidden_act')!r}": config.get("hidden_act", "silu") != "silu",
        "biases that Llama does not have": bool(
            kind == "llama" and (config.get("attention_bias") or config.get("mlp_bias"))
        ),
    }
    for what, wrong in refused.items():
        if wrong:
            raise WeightsError(
                f"{folder.name} has {what}: only plain Qwen2 and Llama checkpoints are supported"
            )
    try:
        packing_of(config)
    except ValueError as problem:
        raise WeightsError(f"config.json in {folder} cannot be used: {problem}") from problem


def _quantized_by_others(raw: object) -> bool:
    return raw is not None and not (isinstance(raw, dict) and raw.get("quant_method") == METHOD)


def _scaled(rope: object) -> bool:
    """Whether a table of rope settings asks for more than plain positions; what is no table asks for who knows what."""
    if not isinstance(rope, dict):
        return rope is not None
    return bool(rope.get("rope_type", rope.get("type", "default")) != "default")


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


def weight_files(folder: Path, stem: str = "model") -> list[Path]:
    """`stem.safetensors` or the shards that its index names. Raises WeightsError naming what is absent, or a pickle."""
    index = folder / f"{stem}.safetensors.index.json"
    names = _shards(index) if index.is_file() else [f"{stem}.safetensors"]
    pickles = [name for name in names if not name.endswith(".safetensors")]
    if not all((folder / name).is_file() for name in names):
        pickles += sorted(f.name for f in folder.iterdir() if f.suffix in _PICKLES)
    if pickles:
        raise WeightsError(f"{pickles[0]} is a pickle, which can run code: only safetensors are loaded")
    require_files(folder, names)
    return [folder / name for name in names]


def _shards(index: Path) -> list[str]:
    weight_map = read_json(index, _MAX_INDEX_BYTES).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise WeightsError(f"{index.name} has no weight_map from tensors to files")
    names = sorted(set(weight_map.values()))
    if any(Path(name).name != name for name in names):
        raise WeightsError(f"{index.name} names files outside its folder")
    return names


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
    try:
        lines = read_bytes(file, MAX_JSON_BYTES).decode("utf-8").splitlines()
        entries = [line.split(maxsplit=1) for line in lines if line.strip()]
        return {name.lstrip("*"): checksum for checksum, name in entries}
    except ValueError as problem:
        raise WeightsError(f"{file.name} in {file.parent} is not a list of checksums") from problem
