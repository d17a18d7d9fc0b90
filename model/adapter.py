"""A HEF adapter on disk and in use: the fuser that reads the repository and the projector that feeds the generator.

A folder holds `adapter.json`, `fuser.safetensors`, `projector.safetensors` (or shards of them) and the fuser's
`tokenizer.json`; it may be the checkpoint's own folder. Arrays are numpy on the outside.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model.checkpoint import WeightsError, read_headers, read_json, require_files, weight_files
from model.fuser import Encoded, Fuser, FuserConfig
from model.projector import Projector
from model.vocabulary import Vocabulary, VocabularyError

# A batch of chunks is padded to its longest; this bounds the waste and the time that a completion waits for it.
_BATCH_TOKENS = 4096
_CHARS_PER_TOKEN = 8


@dataclass(frozen=True)
class AdapterConfig:
    """`adapter.json`."""

    base: str  # fingerprint of the checkpoint that the projector was trained for
    hidden_size: int  # of that checkpoint
    fuser: FuserConfig
    projector_layers: int = 3
    default_context: str = "pseudo"  # the mode that measured best for this checkpoint

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> AdapterConfig:
        return cls(
            base=str(raw["base"]),
            hidden_size=int(raw["hidden_size"]),
            fuser=FuserConfig.from_json(raw["fuser"]),
            projector_layers=int(raw.get("projector_layers", 3)),
            default_context=str(raw.get("default_context", "pseudo")),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "base": self.base,
            "hidden_size": self.hidden_size,
            "fuser": self.fuser.to_json(),
            "projector_layers": self.projector_layers,
            "default_context": self.default_context,
        }


class Nodes(NamedTuple):
    """`keys` float16 [n, d_key], unit length; `memories` float16 [n, m, d_memory]."""

    keys: np.ndarray
    memories: np.ndarray


class Encoder:
    """Serves a fuser with its own tokenizer: texts, groups of children and queries in, numpy out."""

    def __init__(self, fuser: Fuser, vocabulary: Vocabulary, fingerprint: str) -> None:
        self.fuser = fuser.eval()
        self.fingerprint = fingerprint
        self._vocabulary = vocabulary

    @property
    def config(self) -> FuserConfig:
        return self.fuser.config

    def embed(self, texts: Sequence[str]) -> Nodes:
        """Leaf texts (scope header, newline, chunk) -> their nodes."""
        limit = self.config.max_tokens
        rows = [self._vocabulary.encode(text[: limit * _CHARS_PER_TOKEN])[:limit] for text in texts]
        return self._batched(rows, lambda batch: self.fuser.encode_chunks(batch))

    def fuse(self, groups: Sequence[np.ndarray]) -> Nodes:
        """Children's memories, each float16 [n_children, m, d_memory] -> one node each."""
        rows = [torch.from_numpy(np.asarray(group, dtype=np.float32)).flatten(0, 1) for group in groups]
        device = self.fuser.child_in.weight.device
        return self._batched(rows, lambda batch: self.fuser.fuse([row.to(device) for row in batch]))

    @torch.inference_mode()
    def query(self, before: str, after: str) -> np.ndarray:
        """Text around a cursor -> key, float32 [d_key], unit length."""
        n_before, n_after = self.config.query_before, self.config.query_after
        ahead = self._vocabulary.encode(before[-n_before * _CHARS_PER_TOKEN :])[-n_before:]
        behind = self._vocabulary.encode(after[: n_after * _CHARS_PER_TOKEN])[:n_after]
        key = self.fuser.encode_query([ahead], [behind], self._vocabulary.fim.prefix).key[0]
        return key.float().cpu().numpy()

    @torch.inference_mode()
    def _batched(self, rows: Sequence[Any], run: Any) -> Nodes:
        """Run rows in batches of similar length and give the nodes back in the order of `rows`."""
        shape = (len(rows), self.config.m, self.config.d_memory)
        nodes = Nodes(np.empty((len(rows), self.config.d_key), np.float16), np.empty(shape, np.float16))
        for batch in _batches([len(row) for row in rows], _BATCH_TOKENS):
            encoded: Encoded = run([rows[i] for i in batch])
            nodes.keys[batch] = encoded.key.float().cpu().numpy()
            nodes.memories[batch] = encoded.memory.float().cpu().numpy()
        return nodes


class PseudoTokens:
    """Serves a projector: memories in, embeddings of the generator out."""

    def __init__(self, projector: Projector) -> None:
        self.projector = projector.eval()

    @torch.inference_mode()
    def project(self, memories: np.ndarray) -> np.ndarray:
        """float16 [n, m, d_memory] -> float32 [n * m, hidden]. Raises ValueError on another width."""
        if memories.shape[-1] != self.projector.d_memory:
            raise ValueError(f"memories are {memories.shape[-1]} wide, the projector wants {self.projector.d_memory}")
        weight = next(self.projector.parameters())
        flat = torch.from_numpy(memories.astype(np.float32).reshape(-1, memories.shape[-1]))
        vectors: Tensor = self.projector(flat.to(weight.device, weight.dtype))
        return vectors.float().cpu().numpy()


@dataclass(frozen=True)
class Adapter:
    config: AdapterConfig
    encoder: Encoder
    pseudo: PseudoTokens


def save_adapter(folder: Path, config: AdapterConfig, fuser: Fuser, projector: Projector) -> None:
    """Write adapter.json and the two safetensors; the tokenizer is the caller's to copy."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, module in (("fuser", fuser), ("projector", projector)):
        tensors = {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
        save_file(tensors, folder / f"{name}.safetensors", metadata={"format": "pt"})
    (folder / "adapter.json").write_text(json.dumps(config.to_json(), indent=2) + "\n", encoding="utf-8")


def load_adapter(folder: Path, device: torch.device, dtype: torch.dtype) -> Adapter:
    """Read an adapter whose checksums were verified. Raises WeightsError naming the file that is wrong."""
    require_files(folder, ("adapter.json", "tokenizer.json"))
    config = read_config(folder)
    fuser = Fuser(config.fuser)
    projector = Projector(config.fuser.d_memory, config.hidden_size, config.projector_layers)
    for module, stem in ((fuser, "fuser"), (projector, "projector")):
        _fill(module, weight_files(folder, stem))
        module.requires_grad_(False).to(device, dtype)
    try:
        vocabulary = Vocabulary.load(folder / "tokenizer.json")
    except VocabularyError as problem:
        raise WeightsError(f"the adapter in {folder} cannot be used: {problem}") from problem
    encoder = Encoder(fuser, vocabulary, _fingerprint(folder, config))
    return Adapter(config, encoder, PseudoTokens(projector))


def read_config(folder: Path) -> AdapterConfig:
    """`adapter.json` of a folder. Raises WeightsError."""
    raw = read_json(folder / "adapter.json")
    try:
        return AdapterConfig.from_json(raw)
    except (KeyError, TypeError, ValueError) as problem:
        raise WeightsError(f"adapter.json in {folder} is not an adapter's ({problem})") from problem


def _fill(module: nn.Module, files: Sequence[Path]) -> None:
    """Load safetensors whose names and shapes must be exactly the module's."""
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = {name: info.shape for name, info in read_headers(files).items()}
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if wrong:
        name, file = wrong[0], files[0].name
        raise WeightsError(f"{file} does not fit adapter.json: {name} is {found.get(name)}, not {wanted.get(name)}")
    module.load_state_dict({name: tensor for file in files for name, tensor in load_file(file).items()})


def _fingerprint(folder: Path, config: AdapterConfig) -> str:
    """Names what decides a node's vectors: the fuser's weights, shape and tokenizer."""
    digest = hashlib.sha256(json.dumps(config.fuser.to_json(), sort_keys=True).encode())
    for file in (*weight_files(folder, "fuser"), folder / "tokenizer.json"):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices, shortest rows first, in groups that stay within `budget` when padded to the longest."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and lengths[i] * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
