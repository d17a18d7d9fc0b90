"""ONNX Runtime, the engine of the CPU: builds the graphs of a checkpoint once and opens them from the cache."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from model.checkpoint.adapter import AdapterConfig, fuser_tensors, projector_tensors
from model.checkpoint.coder import Qwen2Config, coder_shapes, n_values
from model.checkpoint.files import TensorInfo
from model.checkpoint.opening import Checkpoint
from model.checkpoint.packed import Nibbles, Octets, Packed
from model.checkpoint.sums import kept_sha256
from model.checkpoint.tensors import Matrix, Weights, reader, table
from model.engines.decoder import PREFILL_PIECE
from model.engines.machine import free_bytes, processors
from model.engines.onnx.adapter import OnnxFuser, OnnxPseudoTokens
from model.engines.onnx.decoder import OnnxDecoder
from model.engines.onnx.graph_cache import graph_folder
from model.engines.onnx.quantization import Quantization
from model.engines.onnx.session import open_session
from model.news import News, Told, to_nobody

GRAPH_VERSION = 6  # changes with what `onnx_build` writes

# A network as small as ours has no large outliers in its activations and bears one scale for a whole row; larger ones
# have them (LLM.int8, arXiv 2208.07339), and lose less with a scale for each block.
_ROWS_UP_TO_HIDDEN = 512
# A second thread did not make a network of this size faster at any width while the machine was busy; waking it costs
# more than its share of so little work.
_ALONE_UP_TO_WEIGHTS = 30_000_000
_MOST_THREADS = 4  # the machine is an editor's
# A pass over PREFILL_PIECE rows of a larger network takes half a second, in which no cancel is heard.
_PIECE_OF_LARGE = 32

_EMBEDDINGS = "model.embed_tokens.weight"


@dataclass(frozen=True)
class OnnxEngine:
    """`Engine` on ONNX Runtime. `dtype`: int8 or float32."""

    dtype: str = "int8"
    threads: int = 1
    device: str = "cpu"
    told: Told = to_nobody  # that the coder's graph is prepared, which takes a minute, the first time only

    @property
    def name(self) -> str:
        return f"ONNX Runtime {onnxruntime.__version__}"

    def free_bytes(self) -> int | None:
        return free_bytes()

    def needed_bytes(self, n_weights: int, n_cached: int) -> int:
        """Kernels pack weights beside the mapped file; what is cached is float32."""
        return (2 if self.dtype == "int8" else 8) * n_weights + 4 * n_cached

    def decoder(
        self, checkpoint: Checkpoint, config: Qwen2Config, capacity: int, n_slots: int
    ) -> OnnxDecoder:
        """The coder from its graph, which is built where the cache has none; its embeddings stay a mapped file."""
        quantization, told = self._quantization(config.hidden_size), self.told

        def build(folder: Path) -> None:
            told(News("preparing"))
            from model.engines.onnx.build import (
                build_decoder,
            )  # and with it onnx, which opening a graph can do without

            _save_table(folder, table(checkpoint.tensors, _EMBEDDINGS))
            weights = Weights(checkpoint.tensors, in_blocks=quantization != "none")
            packing = None if quantization == "none" else checkpoint.packing
            build_decoder(folder, config, weights, quantization, packing)

        with graph_folder(
            _key("decoder", checkpoint.tensors, str(config), quantization, told), build
        ) as folder:
            session = open_session(folder / "decoder.onnx", self.threads)
            embeddings = _mapped_table(folder)
        piece = PREFILL_PIECE if n_values(coder_shapes(config)) <= _ALONE_UP_TO_WEIGHTS else _PIECE_OF_LARGE
        return OnnxDecoder(session, embeddings, config, capacity, n_slots, piece)

    def fuser(self, folder: Path, config: AdapterConfig) -> OnnxFuser:
        """The fuser from its two graphs: the network, and what turns children into its input."""
        tensors = fuser_tensors(folder, config.fuser)
        quantization: Quantization = "rows" if self.dtype == "int8" else "none"

        def build(target: Path) -> None:
            from model.engines.onnx.build import build_fuser

            build_fuser(target, config, reader(tensors), quantization)

        with graph_folder(
            _key("fuser", tensors, str(config.fuser), quantization, to_nobody), build
        ) as target:
            fuser = open_session(target / "fuser.onnx", self.threads)
            children = open_session(target / "children.onnx", 1)
        return OnnxFuser(fuser, children, config.fuser, reader(tensors))

    def projector(self, folder: Path, config: AdapterConfig) -> OnnxPseudoTokens:
        """The projector from its graph, always in float32."""
        tensors = projector_tensors(folder, config)

        def build(target: Path) -> None:
            from model.engines.onnx.build import build_projector

            build_projector(target, config, reader(tensors))

        with graph_folder(_key("projector", tensors, str(config), "none", to_nobody), build) as target:
            projector = open_session(target / "projector.onnx", 1)
        return OnnxPseudoTokens(projector, config)

    def _quantization(self, hidden_size: int) -> Quantization:
        if self.dtype != "int8":
            return "none"
        return "rows" if hidden_size <= _ROWS_UP_TO_HIDDEN else "blocks"


def open_onnx_engine(dtype: str, threads: int, n_weights: int, told: Told = to_nobody) -> OnnxEngine:
    """`dtype` auto is int8; `threads` 0 is what measured best for so many weights."""
    best = 1 if n_weights <= _ALONE_UP_TO_WEIGHTS else min(_MOST_THREADS, processors())
    return OnnxEngine("float32" if dtype == "float32" else "int8", threads or best, told=told)


def _save_table(folder: Path, embeddings: Matrix) -> None:
    parts = vars(embeddings) if isinstance(embeddings, Packed) else {"embeddings": embeddings}
    for part, values in parts.items():
        np.save(folder / f"{part}.npy", values)


def _mapped_table(folder: Path) -> Matrix:
    parts = {file.stem: np.load(file, mmap_mode="r") for file in folder.glob("*.npy")}
    if "nibbles" in parts:
        return Nibbles(**parts)
    return Octets(**parts) if "octets" in parts else parts["embeddings"]


def _key(
    kind: str, tensors: Mapping[str, TensorInfo], shape: str, quantization: Quantization, told: Told
) -> str:
    """Names a graph: the sums of its weights, wherever they lie, arithmetic, versions and processor."""
    files = {info.file.resolve() for info in tensors.values()}
    parts = [shape, quantization, str(GRAPH_VERSION), onnxruntime.__version__, _processor()]
    parts += sorted(kept_sha256(file, told) for file in files)
    return f"{kind}-{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:16]}"


def _processor() -> str:
    """What decides how exactly 8-bit products are computed; a cache folder may be shared between machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return f"{platform.machine()} {platform.processor()}"
