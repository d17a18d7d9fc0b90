"""Fuser and projector as ONNX graphs."""

from __future__ import annotations

import numpy as np

from model.checkpoint.adapter import FuserConfig
from model.checkpoint.coder import Qwen2Config
from model.checkpoint.tensors import Read
from model.engines.onnx.graph import FLOAT, INT32, INT64, Graph


def add_fuser(graph: Graph, config: FuserConfig, read: Read) -> None:
    """Rows of vectors, read-out vectors behind each, padded on the right -> their nodes.

    Inputs: x [B, T, width], last [B] (each row's length - 1), longest = T, cos and sin [T, head_dim / 2], ends [B * m]
    (where the read-outs stand in the rows laid end to end). Outputs: key [B, d_key], states [B, m, width] (of the
    read-outs, to be added to what they stand for).
    A row never sees what stands behind it, so padding needs no mask.
    """
    shape, last = config.encoder, config.num_layers - 1
    ends = graph.input("ends", INT64, "Bm")
    residual = graph.input("x", FLOAT, "B", "T", config.hidden_size)
    for name in ("cos", "sin"):
        graph.input(name, FLOAT, "T", config.head_dim // 2)
    graph.input("last", INT32, "B")
    graph.input("longest", INT32)
    normed = graph.norm(residual, read("encoder.layers.0.input_layernorm.weight"), shape.rms_norm_eps)
    for i in range(config.num_layers):
        layer = f"encoder.layers.{i}"
        attended = _attention(graph, shape, f"{layer}.self_attn", normed, read)
        if i == last:  # nothing but the read-outs is read
            attended, residual = (_rows(graph, y, ends, width) for y, width in
                                  ((attended, shape.query_size), (residual, shape.hidden_size)))  # fmt: skip
        attended = graph.linear(attended, read(f"{layer}.self_attn.o_proj.weight"))
        post = read(f"{layer}.post_attention_layernorm.weight")
        residual, normed = graph.add_norm(residual, attended, post, shape.rms_norm_eps)
        forward = graph.gated(
            normed, *(read(f"{layer}.mlp.{name}_proj.weight") for name in ("gate", "up", "down"))
        )
        following = "encoder.norm" if i == last else f"encoder.layers.{i + 1}.input_layernorm"
        residual, normed = graph.add_norm(residual, forward, read(f"{following}.weight"), shape.rms_norm_eps)
    states = graph.op("Reshape", normed, graph.sizes(-1, config.m, config.hidden_size))
    mean = graph.op("ReduceMean", states, graph.sizes(1), keepdims=0)
    key = graph.op("MatMul", mean, graph.constant(read("key_head.weight").T))
    scaled = graph.op("Mul", states, graph.constant(read("gain")))
    graph.output("states", FLOAT, scaled, "B", config.m, config.hidden_size)
    graph.output("key", FLOAT, graph.op("LpNormalization", key, axis=-1, p=2), "B", config.d_key)


def add_children(graph: Graph, config: FuserConfig, read: Read) -> None:
    """Children's memories [n, width] -> the vectors that a parent is fused from."""
    x = graph.input("memory", FLOAT, "n", config.hidden_size)
    y = graph.linear(x, read("child_in.weight"), read("child_in.bias"))
    graph.output("vectors", FLOAT, y, "n", config.hidden_size)


def add_projector(graph: Graph, widths: list[int], read: Read, adds: bool) -> None:
    """Memory vectors [n, width] -> pseudo-token embeddings [n, hidden]; `adds`: the layers, to the memory."""
    memory = x = graph.input("memory", FLOAT, "n", widths[0])
    n_layers = len(widths) - 1
    for i in range(n_layers):
        x = graph.linear(x, read(f"{3 * i}.weight"), read(f"{3 * i}.bias"))
        if i < n_layers - 1:
            scale, shift = (graph.constant(read(f"{3 * i + 2}.{part}")) for part in ("weight", "bias"))
            x = graph.op("LayerNormalization", graph.op("Gelu", x), scale, shift, axis=-1, epsilon=1e-5)
    if adds:
        x = graph.op("Add", x, memory)
    graph.output("vectors", FLOAT, x, "n", widths[-1])


def _attention(graph: Graph, shape: Qwen2Config, projection: str, x: str, read: Read) -> str:
    weight, bias = (
        np.concatenate([read(f"{projection}.{name}_proj.{part}") for name in "qkv"])
        for part in ("weight", "bias")
    )
    heads = {"num_heads": shape.num_attention_heads, "kv_num_heads": shape.num_key_value_heads}
    inputs = [graph.linear(x, weight, bias), "", "", "", "", "last", "longest", "cos", "sin"]
    return graph.ops("GroupQueryAttention", *inputs, n=3, domain="com.microsoft", do_rotary=1, **heads)[0]


def _rows(graph: Graph, x: str, rows: str, width: int) -> str:
    """Pick rows of [B, T, width] laid end to end."""
    return graph.op("Gather", graph.op("Reshape", x, graph.sizes(-1, width)), rows, axis=0)
