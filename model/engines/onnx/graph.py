"""The operators that our ONNX graphs are made of. Graphs are written node by node: no exporter, no tracing, no torch.

Weights are int8. How is chosen so that a row's result depends on that row alone, whatever other rows share its pass:
drafts are lossless only if verifying eight tokens at once gives each of them, bit for bit, what it would get by
itself. ONNX Runtime's own dynamic quantization takes one scale for the whole input and is not like that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnx import (
    ModelProto,
    NodeProto,
    StringStringEntryProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from model.checkpoint.packed import BLOCK, Nibbles, Octets, stacked
from model.checkpoint.tensors import Matrix
from model.engines.onnx.quantization import Quantization, quantize_blocks, quantize_rows

FLOAT, DOUBLE, INT32, INT64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT32, TensorProto.INT64

_INLINE_BYTES = 1024  # smaller constants live in the graph itself
_PAGE = 4096
_OPSET, _IR_VERSION = 20, 10


class Graph:
    """A graph that grows. Large constants go to `data` at once, so that only one is in memory at a time.

    `signed`: whether this machine multiplies uint8 by int8 exactly (`onnx_build.multiplies_exactly`).
    """

    def __init__(self, data: Path, quantization: Quantization, signed: bool) -> None:
        self._data = data.open("wb")
        self._data_name = data.name
        self._quantization = quantization
        self._signed = signed
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        self._shared: dict[tuple[str, bytes], str] = {}
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []
        self._final_names: dict[str, str] = {}
        self._n_names = 0

    def input(self, name: str, kind: int, *shape: int | str) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, kind: int, value: str, *shape: int | str) -> None:
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))
        self._final_names[value] = name

    def constant(self, value: np.ndarray | np.generic) -> str:
        """The name of a value in the graph: equal small ones share it, large ones lie in the data file."""
        array = np.ascontiguousarray(value).reshape(value.shape)
        if array.nbytes > _INLINE_BYTES:
            return self._external(array)
        key = (f"{array.dtype}{array.shape}", array.tobytes())
        if key not in self._shared:
            self._shared[key] = self._name("constant")
            self._constants.append(numpy_helper.from_array(array, self._shared[key]))
        return self._shared[key]

    def sizes(self, *values: int) -> str:
        """A constant of int64: shapes, axes, indices."""
        return self.constant(np.array(values, dtype=np.int64))

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return self.ops(kind, *inputs, n=1, **attributes)[0]

    def ops(self, kind: str, *inputs: str, n: int, domain: str = "", **attributes: Any) -> list[str]:
        """Add a node with n outputs and return their names."""
        outputs = [self._name(kind) for _ in range(n)]
        self._nodes.append(helper.make_node(kind, inputs, outputs, domain=domain, **attributes))
        return outputs

    def fused(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """One of ONNX Runtime's own operators."""
        return self.op(kind, *inputs, domain="com.microsoft", **attributes)

    def split(self, x: str, *widths: int) -> list[str]:
        """Cut the last axis into pieces."""
        return self.ops("Split", x, self.sizes(*widths), n=len(widths), axis=-1)

    def norm(self, x: str, weight: np.ndarray, epsilon: float) -> str:
        """RMSNorm over the last axis."""
        return self.op(
            "SimplifiedLayerNormalization", x, self.constant(weight), axis=-1, epsilon=epsilon, stash_type=1
        )

    def add_norm(self, x: str, y: str, weight: np.ndarray, epsilon: float) -> tuple[str, str]:
        """x + y, and RMSNorm of it."""
        kind = "SkipSimplifiedLayerNormalization"
        outputs = [self._name(kind), "", "", self._name(kind)]
        inputs = [x, y, self.constant(weight)]
        self._nodes.append(helper.make_node(kind, inputs, outputs, domain="com.microsoft", epsilon=epsilon))
        return outputs[3], outputs[0]

    def linear(self, x: str, weight: Matrix, bias: np.ndarray | None = None) -> str:
        """x [..., in] by a weight [out, in], in the graph's quantization, or as it is where it lies in blocks."""
        if isinstance(weight, Nibbles):
            y = self._linear_nibbles(x, weight)
        elif isinstance(weight, Octets):
            y = self._linear_octets(x, weight)
        elif self._quantization == "rows":
            y = self._linear_rows(x, weight)
        elif self._quantization == "blocks":
            y = self._linear_blocks(x, weight)
        else:
            y = self.op("MatMul", x, self.constant(weight.T))
        return y if bias is None else self.op("Add", y, self.constant(bias))

    def gated(self, x: str, gate: Matrix, up: Matrix, down: Matrix) -> str:
        """Qwen2's feed-forward layer: down(silu(gate(x)) * up(x))."""
        both = self.linear(x, stacked([gate, up]))
        gates, ups = self.split(both, len(gate), len(up))
        silu = self.fused("QuickGelu", gates, alpha=1.0)
        return self.linear(self.op("Mul", silu, ups), down)

    def save(self, file: Path, **notes: str) -> None:
        """Write the graph, with notes for who opens it; its data file is complete with it."""
        self._data.close()
        for node in self._nodes:
            for names in (node.input, node.output):
                names[:] = [self._final_names.get(name, name) for name in names]
        graph = helper.make_graph(self._nodes, file.stem, self._inputs, self._outputs, self._constants)
        domains = [helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", 1)]
        model: ModelProto = helper.make_model(graph, opset_imports=domains, ir_version=_IR_VERSION)
        helper.set_model_props(model, notes)
        file.write_bytes(model.SerializeToString())

    def _linear_rows(self, x: str, weight: np.ndarray) -> str:
        values, scales = quantize_rows(weight)
        largest = self.op("ReduceMax", self.op("Abs", x), self.sizes(-1), keepdims=1)
        one, zero = self.constant(np.float32(1)), self.constant(np.uint8(128))
        scaled = self.op("Mul", x, self.op("Div", self.constant(np.float32(127)), largest))
        inputs = [self.op("QuantizeLinear", scaled, one, zero), one, self.constant(scales / 127), zero]
        if self._signed:
            inputs.insert(1, self.constant(values.T))
        else:
            inputs.insert(1, self.constant((values.T.astype(np.int16) + 128).astype(np.uint8)))
            inputs.append(zero)
        return self.op("Mul", self.fused("MatMulIntegerToFloat", *inputs), largest)

    def _linear_blocks(self, x: str, weight: np.ndarray) -> str:
        return self._by_blocks(x, *quantize_blocks(weight), bits=8)

    def _linear_octets(self, x: str, weight: Octets) -> str:
        values = (weight.octets.astype(np.int16) + 128).astype(np.uint8)
        return self._by_blocks(x, values, weight.scale.astype(np.float32), bits=8)

    def _linear_nibbles(self, x: str, weight: Nibbles) -> str:
        """scale * nibble + minimum is scale * (nibble - 8) + (minimum + 8 * scale): the kernel does the first, and the
        second, alike for all of a block, is a small product with the sums of x by blocks."""
        scale, minimum = weight.scale.astype(np.float32), weight.minimum.astype(np.float32)
        y = self._by_blocks(x, weight.nibbles, scale, bits=4)
        blocks = self.op("Reshape", x, self.sizes(-1, scale.shape[1], BLOCK))
        sums = self.op("ReduceSum", blocks, self.sizes(-1), keepdims=0)
        return self.op("Gemm", sums, self.constant((minimum + 8 * scale).T), y)

    def _by_blocks(self, x: str, values: np.ndarray, scales: np.ndarray, bits: int) -> str:
        """MatMulNBits: values uint8 [out, blocks, bytes] around the middle of their range, scales [out, blocks]."""
        n_blocks = scales.shape[1]
        shape = {
            "N": len(values),
            "K": n_blocks * BLOCK,
            "bits": bits,
            "block_size": BLOCK,
            "accuracy_level": 4,
        }
        return self.fused("MatMulNBits", x, self.constant(values), self.constant(scales), **shape)

    def _external(self, array: np.ndarray) -> str:
        """Write a constant to the data file on a page of its own, so that it can be mapped."""
        self._data.seek(-self._data.tell() % _PAGE, 1)
        offset = self._data.tell()
        self._data.write(array.data)
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor = TensorProto(name=self._name("weight"), data_type=kind, dims=array.shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self._data_name), ("offset", offset), ("length", array.nbytes)):
            tensor.external_data.append(StringStringEntryProto(key=key, value=str(value)))
        self._constants.append(tensor)
        return tensor.name

    def _name(self, kind: str) -> str:
        self._n_names += 1
        return f"{kind}_{self._n_names}"
