"""A Qwen2 decoder as an ONNX graph: vectors in, keys and values out, one graph for prefill, decoding and draft trees.

The mask over the new rows is an input, so a tree is verified like a chain. Attention weights are summed in float64:
in float32 a sum depends on where in the cache its terms stand, and a drafted token does not stand where it would
have stood on its own. (A last bit's difference is enough to round an int8 activation to its neighbor.) Tried over
placed rows only, which stay where they are: a float32 sum still differed between widths, for one query row against
several (a kv head for each head) and on two threads, and saved less than a tenth of a pass behind 1,024 of them.

Inputs, for n new rows behind t cached ones, g query heads per key/value head:
  x [n, hidden], cos and sin [n, head_dim / 2] of the rows' positions, unfilled [t] and mask [n * g, n] added to the
  scores of cached and new rows, rows [r] that go through the end of the last layer, wanted [w] of these r whose logits
  are asked for, and for each layer key_{layer} and value_{layer} [kv heads, t, head_dim].
Outputs: logits [w, vocab], and new_keys and new_values [layers * kv heads, n, head_dim].
"""

from __future__ import annotations

import numpy as np

from model.checkpoint.coder import Qwen2Config
from model.checkpoint.packed import stacked
from model.checkpoint.tensors import Weights
from model.engines.onnx.decoder import kv_names
from model.engines.onnx.graph import DOUBLE, FLOAT, INT64, Graph


def add_decoder(graph: Graph, config: Qwen2Config, weights: Weights) -> None:
    """Add the whole decoder. Only the wanted rows go through the end of the last layer and the head."""
    epsilon, last = config.rms_norm_eps, config.num_hidden_layers - 1
    residual, rows = _inputs(graph, config)
    keys, values = [], []
    normed = graph.norm(residual, weights.vector("model.layers.0.input_layernorm.weight"), epsilon)
    for i in range(config.num_hidden_layers):
        layer = f"model.layers.{i}"
        attended, key, value = _attention(graph, config, i, normed, weights)
        keys.append(key)
        values.append(value)
        if i == last:
            attended, residual = (graph.op("Gather", y, rows, axis=0) for y in (attended, residual))
        attended = graph.linear(attended, weights.matrix(f"{layer}.self_attn.o_proj.weight"))
        residual, normed = graph.add_norm(
            residual, attended, weights.vector(f"{layer}.post_attention_layernorm.weight"), epsilon
        )
        forward = graph.gated(
            normed, *(weights.matrix(f"{layer}.mlp.{name}_proj.weight") for name in ("gate", "up", "down"))
        )
        following = "model.norm" if i == last else f"model.layers.{i + 1}.input_layernorm"
        residual, normed = graph.add_norm(residual, forward, weights.vector(f"{following}.weight"), epsilon)
    for name, parts in (("new_keys", keys), ("new_values", values)):
        new = graph.op("Concat", *parts, axis=0)
        graph.output(name, FLOAT, new, len(parts) * config.num_key_value_heads, "n", config.head_dim)
    head = "model.embed_tokens.weight" if config.tie_word_embeddings else "lm_head.weight"
    normed = graph.op("Gather", normed, graph.input("wanted", INT64, "w"), axis=0)
    graph.output("logits", FLOAT, graph.linear(normed, weights.matrix(head)), "w", config.vocab_size)


def _inputs(graph: Graph, config: Qwen2Config) -> tuple[str, str]:
    """Declare the inputs; the names of x and rows."""
    half, kv_heads = config.head_dim // 2, config.num_key_value_heads
    graph.input("cos", FLOAT, "n", half)
    graph.input("sin", FLOAT, "n", half)
    graph.input("unfilled", FLOAT, "t")
    graph.input("mask", FLOAT, "ng", "n")
    for key, value in kv_names(config):
        graph.input(key, FLOAT, kv_heads, "t", config.head_dim)
        graph.input(value, FLOAT, kv_heads, "t", config.head_dim)
    return graph.input("x", FLOAT, "n", config.hidden_size), graph.input("rows", INT64, "r")


def _attention(
    graph: Graph, config: Qwen2Config, layer: int, x: str, weights: Weights
) -> tuple[str, str, str]:
    """Everything between a layer's norm and its output projection: [n, hidden] -> [n, heads * head_dim], and the new
    keys and values [kv heads, n, head_dim]."""
    projection = f"model.layers.{layer}.self_attn"
    weight = stacked([weights.matrix(f"{projection}.{name}_proj.weight") for name in "qkv"])
    bias = None
    if config.attention_bias:
        bias = np.concatenate([weights.vector(f"{projection}.{name}_proj.bias") for name in "qkv"])
    kv_heads, width, queries = config.num_key_value_heads, config.head_dim, config.query_size
    turning, values = graph.split(graph.linear(x, weight, bias), queries + kv_heads * width, kv_heads * width)
    query, key = graph.split(rotated(graph, turning, queries + kv_heads * width), queries, kv_heads * width)
    query, key, value = (_by_head(graph, y, config, wide) for y, wide in
                         ((query, queries // kv_heads), (key, width), (values, width)))  # fmt: skip
    attended = _attend(graph, str(layer), query, key, value, config)
    rows = graph.op("Reshape", attended, graph.sizes(kv_heads, -1, queries // kv_heads))
    together = graph.op("Transpose", rows, perm=[1, 0, 2])
    return graph.op("Reshape", together, graph.sizes(-1, queries)), key, value


def rotated(graph: Graph, x: str, width: int) -> str:
    """Rotary positions on heads side by side, [n, width]; row i of cos and sin is row i's."""
    three = graph.op("Reshape", x, graph.sizes(1, -1, width))
    return graph.fused("RotaryEmbedding", three, graph.sizes(0), "cos", "sin", interleaved=0)


def _by_head(graph: Graph, x: str, config: Qwen2Config, width: int) -> str:
    """[n, kv heads * width] -> [kv heads, n * width / head_dim, head_dim]: the rows of all query heads that share a kv
    head go through one product, in the order in which they already lie: (row, head)."""
    kv_heads = config.num_key_value_heads
    rows = graph.op("Reshape", x, graph.sizes(-1, kv_heads, width))
    heads = graph.op("Transpose", rows, perm=[1, 0, 2])
    if width == config.head_dim:
        return heads
    return graph.op("Reshape", heads, graph.sizes(kv_heads, -1, config.head_dim))


def _attend(graph: Graph, layer: str, query: str, key: str, value: str, config: Qwen2Config) -> str:
    """Softmax attention of queries [kv heads, n * g, head_dim] to cached and new keys."""
    parts = [
        graph.op(
            "Add", graph.fused("FusedMatMul", query, keys, transB=1, alpha=config.head_dim**-0.5), hidden
        )
        for keys, hidden in ((f"key_{layer}", "unfilled"), (key, "mask"))
    ]
    highest = graph.op("Max", *(graph.op("ReduceMax", part, graph.sizes(-1), keepdims=1) for part in parts))
    weights = [graph.op("Cast", graph.op("Exp", graph.op("Sub", part, highest)), to=DOUBLE) for part in parts]
    total = graph.op("Add", *(graph.op("ReduceSum", part, graph.sizes(-1), keepdims=1) for part in weights))
    summed = graph.op(
        "Add",
        *(
            graph.op("MatMul", part, graph.op("Cast", values, to=DOUBLE))
            for part, values in zip(weights, (f"value_{layer}", value), strict=True)
        ),
    )
    return graph.op("Cast", graph.op("Div", summed, total), to=FLOAT)
