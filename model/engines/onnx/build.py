"""Writes the graphs of a checkpoint and of an adapter into a folder. Needs `onnx`; opening them does not."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from model.checkpoint.adapter import AdapterConfig, projector_widths
from model.checkpoint.coder import Qwen2Config
from model.checkpoint.packed import BLOCK, Nibbles, PackedBits
from model.checkpoint.tensors import Matrix, Read, Weights
from model.engines.onnx.adapter_graph import add_children, add_fuser, add_projector
from model.engines.onnx.decoder_graph import add_decoder
from model.engines.onnx.graph import FLOAT, Graph
from model.engines.onnx.quantization import Quantization
from model.engines.onnx.session import open_session, write_packed

_PROBED = 32  # rows and columns; no pass that is verified has more


def build_decoder(
    folder: Path,
    config: Qwen2Config,
    weights: Weights,
    quantization: Quantization,
    packing: PackedBits | None = None,
) -> None:
    """decoder.onnx with its data; it notes how few rows a pass and its head may have. `packing`: of `weights`, where
    they come in blocks."""
    signed = quantization != "rows" or multiplies_exactly()
    fewest = fewest_rows() if packing and 4 in (packing.linear_bits, packing.embedding_bits) else 1
    notes = {
        "fewest_rows": str(fewest if packing and packing.linear_bits == 4 else 1),
        "fewest_wanted": str(fewest if packing and packing.embedding_bits == 4 else 1),
    }
    written = folder / ("decoder.onnx" if packing is None else "unpacked.onnx")
    _write(written, quantization, signed, lambda graph: add_decoder(graph, config, weights), **notes)
    if packing is not None:
        write_packed(written, folder / "decoder.onnx")
        written.unlink()
        written.with_suffix(".data").unlink()


def build_fuser(folder: Path, config: AdapterConfig, read: Read, quantization: Quantization) -> None:
    """fuser.onnx, and children.onnx in front of it."""
    shape, signed = config.fuser, quantization != "rows" or multiplies_exactly()
    _write(folder / "fuser.onnx", quantization, signed, lambda graph: add_fuser(graph, shape, read))
    _write(folder / "children.onnx", "none", signed, lambda graph: add_children(graph, shape, read))


def build_projector(folder: Path, config: AdapterConfig, read: Read) -> None:
    """projector.onnx, in float32: it runs rarely, on few rows, and all of the context goes through it."""
    widths = projector_widths(config.projector_width, config.hidden_size, config.projector_layers)
    _write(
        folder / "projector.onnx", "none", True, lambda graph: add_projector(graph, widths, read, config.adds)
    )


def multiplies_exactly() -> bool:
    """Whether uint8 by int8 is exact here.

    x86 without VNNI adds pairs of products in 16 bits, which overflow: then weights must be uint8 as well.
    """
    extreme = np.full((64, 64), 127, np.float32)
    (product,) = _products(extreme, [extreme])
    return bool(np.allclose(product, 64 * 127.0**2))


def fewest_rows() -> int:
    """How many rows a product in 4 bits must have here that each has the bits it has among many.

    On x86 a row by itself is summed in another order (ONNX Runtime 1.24 to 1.32).
    """
    draw = np.random.default_rng(0)
    nibbles = draw.integers(0, 256, (_PROBED, 4, BLOCK // 2), np.uint8)
    scale, minimum = draw.random((2, _PROBED, 4), np.float32).astype(np.float16)
    rows = draw.standard_normal((_PROBED, 4 * BLOCK), np.float32)
    widths = range(1, _PROBED + 1)
    products = _products(Nibbles(nibbles, scale, minimum), [rows[:width] for width in widths])
    differing = [
        width
        for width, y in zip(widths, products, strict=True)
        if not np.array_equal(y, products[-1][:width])
    ]
    return max(differing, default=0) + 1


def _products(weight: Matrix, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Each input by a weight, as a graph in 8 bits or in the weight's own blocks computes it."""
    width = inputs[0].shape[1]

    def add(graph: Graph) -> None:
        graph.output("y", FLOAT, graph.linear(graph.input("x", FLOAT, "n", width), weight), "n", len(weight))

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "probe.onnx")
        _write(file, "rows", True, add)
        session = open_session(file, threads=1)
        return [session.run(["y"], {"x": x})[0] for x in inputs]


def _write(
    file: Path, quantization: Quantization, signed: bool, add: Callable[[Graph], None], **notes: str
) -> None:
    graph = Graph(file.with_suffix(".data"), quantization, signed)
    add(graph)
    graph.save(file, **notes)
