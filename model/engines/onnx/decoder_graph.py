"""A Qwen2 decoder as an ONNX graph: vectors in, keys and values out, one graph for prefill, decoding and draft trees.

The mask over the new rows is an input, so a tree is verified like a chain. Attention weights are summed in float64:
in float32 a sum depends on where in the cache its terms stand, and a drafted token does not stand where it would
have stood on its own. (A last bit's difference is enough to round an int8 activation to its neighbor.) Tried over
placed rows only, which stay where they are: a float32 sum still differed between widths, for one query row against
several (a kv head for each head) and on two threads, and saved less than a tenth of a pass behind 1,024 of them.

Inputs, for n new rows behind t cached ones, g query heads per key/value head:
  x [n, hidden], cos and sin [n, head_dim / 2] of the rows' positions, mask [n * g, n] added to the scores,
  rows [r] that go through the end of the last layer, wanted [w] of these r whose logits are asked for, and for each
  layer and kv head
  key_{layer}_{head} [t, head_dim] float32, value_{layer}_{head} [t, head_dim] float64.
Outputs: logits [w, vocab], and new_key_..., new_value_... [n, head_dim].
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
    normed = graph.norm(residual, weights.vector("model.layers.0.input_layernorm.weight"), epsilon)
    for i in range(config.num_hidden_layers):
        layer = f"model.layers.{i}"
        attended = _attention(graph, config, i, normed, weights)
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
    head = "model.embed_tokens.weight" if config.tie_word_embeddings else "lm_head.weight"
    normed = graph.op("Gather", normed, graph.input("wanted", INT64, "w"), axis=0)
    graph.output("logits", FLOAT, graph.linear(normed, weights.matrix(head)), "w", config.vocab_size)


def _inputs(graph: Graph, config: Qwen2Config) -> tuple[str, str]:
    """Declare the inputs; the names of x and rows."""
    half = config.head_dim // 2
    graph.input("cos", FLOAT, "n", half)
    graph.input("sin", FLOAT, "n", half)
    graph.input("mask", FLOAT, "ng", "n")
    for key, value in kv_names(config):
        graph.input(key, FLOAT, "t", config.head_dim)
        graph.input(value, DOUBLE, "t", config.head_dim)
    return graph.input("x", FLOAT, "n", config.hidden_size), graph.input("rows", INT64, "r")


def _attention(graph: Graph, config: Qwen2Config, layer: int, x: str, weights: Weights) -> str:
    """Everything between a layer's norm and its output projection: [n, hidden] -> [n, heads * head_dim]."""
    projection = f"model.layers.{layer}.self_attn"
    weight = stacked([weights.matrix(f"{projection}.{name}_proj.weight") for name in "qkv"])
    bias = None
    if config.attention_bias:
        bias = np.concatenate([weights.vector(f"{projection}.{name}_proj.bias") for name in "qkv"])
    heads, kv_heads, width = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    turning, values = graph.split(graph.linear(x, weight, bias), (heads + kv_heads) * width, kv_heads * width)
    turned = rotated(graph, turning, (heads + kv_heads) * width)
    *queries, keys = graph.split(turned, *[heads // kv_heads * width] * kv_heads, kv_heads * width)
    new_keys = graph.split(keys, *[width] * kv_heads)
    new_values = graph.split(graph.op("Cast", values, to=DOUBLE), *[width] * kv_heads)
    outputs = []
    for j, (query, key, value) in enumerate(zip(queries, new_keys, new_values, strict=True)):
        graph.output(f"new_key_{layer}_{j}", FLOAT, key, "n", width)
        graph.output(f"new_value_{layer}_{j}", DOUBLE, value, "n", width)
        outputs.append(_attend(graph, f"{layer}_{j}", query, key, value, config))
    return graph.op("Concat", *outputs, axis=1)


def rotated(graph: Graph, x: str, width: int) -> str:
    """Rotary positions on heads side by side, [n, width]; row i of cos and sin is row i's."""
    three = graph.op("Reshape", x, graph.sizes(1, -1, width))
    turned = graph.fused("RotaryEmbedding", three, graph.sizes(0), "cos", "sin", interleaved=0)
    return graph.op("Reshape", turned, graph.sizes(-1, width))


def _attend(graph: Graph, head: str, queries: str, key: str, value: str, config: Qwen2Config) -> str:
    """Softmax attention of the query heads [n, g * head_dim] that share one kv head.

    The rows of all g heads go through one product, in the order in which they already lie: (row, head).
    """
    width, group = config.head_dim, config.num_attention_heads // config.num_key_value_heads
    query = graph.op("Reshape", queries, graph.sizes(-1, width))
    old = graph.op("Gemm", query, f"key_{head}", transB=1, alpha=width**-0.5)
    new = graph.op("Gemm", query, key, "mask", transB=1, alpha=width**-0.5)
    highest = graph.op(
        "Max", *(graph.op("ReduceMax", scores, graph.sizes(-1), keepdims=1) for scores in (old, new))
    )
    old, new = (
        graph.op("Cast", graph.op("Exp", graph.op("Sub", scores, highest)), to=DOUBLE)
        for scores in (old, new)
    )
    total = graph.op(
        "Add", *(graph.op("ReduceSum", weights, graph.sizes(-1), keepdims=1) for weights in (old, new))
    )
    summed = graph.op("Gemm", new, value, graph.op("Gemm", old, f"value_{head}"))
    mean = graph.op("Cast", graph.op("Div", summed, total), to=FLOAT)
    return graph.op("Reshape", mean, graph.sizes(-1, group * width))
