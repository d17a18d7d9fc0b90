"""Writes the graphs of a checkpoint and of an adapter into a folder. Needs `onnx`; opening them does not."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from model.checkpoint.adapter import AdapterConfig, projector_widths
from model.checkpoint.coder import Qwen2Config
from model.checkpoint.tensors import Read
from model.engines.onnx.adapter_graph import add_children, add_fuser, add_projector
from model.engines.onnx.decoder_graph import add_decoder
from model.engines.onnx.graph import FLOAT, Graph
from model.engines.onnx.quantization import Quantization
from model.engines.onnx.session import open_session


def build_decoder(folder: Path, config: Qwen2Config, read: Read, quantization: Quantization) -> None:
    """decoder.onnx with its data."""
    signed = quantization != "rows" or multiplies_exactly()
    _write(folder / "decoder.onnx", quantization, signed, lambda graph: add_decoder(graph, config, read))


def build_fuser(folder: Path, config: AdapterConfig, read: Read, quantization: Quantization) -> None:
    """fuser.onnx, and children.onnx in front of it."""
    shape, signed = config.fuser, quantization != "rows" or multiplies_exactly()
    _write(folder / "fuser.onnx", quantization, signed, lambda graph: add_fuser(graph, shape, read))
    _write(folder / "children.onnx", "none", signed, lambda graph: add_children(graph, shape, read))


def build_projector(folder: Path, config: AdapterConfig, read: Read) -> None:
    """projector.onnx, in float32: it runs rarely, on few rows, and all of the context goes through it."""
    widths = projector_widths(config.fuser.d_memory, config.hidden_size, config.projector_layers)
    _write(folder / "projector.onnx", "none", True, lambda graph: add_projector(graph, widths, read))


def multiplies_exactly() -> bool:
    """Whether uint8 by int8 is exact here.

    x86 without VNNI adds pairs of products in 16 bits, which overflow: then weights must be uint8 as well.
    """
    width = 64
    extreme = np.full((width, width), 127, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "probe.onnx")
        _write(file, "rows", True, lambda graph: _add_product(graph, extreme))
        (product,) = open_session(file, threads=1).run(["y"], {"x": extreme})
    return bool(np.allclose(product, width * 127.0**2))


def _add_product(graph: Graph, weight: np.ndarray) -> None:
    x = graph.input("x", FLOAT, "n", weight.shape[1])
    graph.output("y", FLOAT, graph.linear(x, weight), "n", weight.shape[0])


def _write(file: Path, quantization: Quantization, signed: bool, add: Callable[[Graph], None]) -> None:
    graph = Graph(file.with_suffix(".data"), quantization, signed)
    add(graph)
    graph.save(file)
