from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.checkpoint.packed import BLOCK, Nibbles, Octets
from model.checkpoint.tensors import Matrix
from model.engines.onnx.build import fewest_rows, multiplies_exactly
from model.engines.onnx.graph import FLOAT, Graph
from model.engines.onnx.quantization import Quantization, quantize_blocks, quantize_rows
from model.engines.onnx.session import open_session, write_packed

WEIGHT = np.random.default_rng(0).standard_normal((24, 2 * BLOCK)).astype(np.float32)
ROWS = np.random.default_rng(1).standard_normal((7, 2 * BLOCK)).astype(np.float32)


def test_a_row_keeps_its_largest_value_and_errs_by_half_a_step() -> None:
    values, scales = quantize_rows(WEIGHT)
    error = np.abs(values * scales[:, None] - WEIGHT)
    assert (error <= scales[:, None] * 0.5001).all()
    assert (np.abs(values).max(axis=1) == 127).all()


def test_a_block_has_a_scale_of_its_own() -> None:
    loud = WEIGHT.copy()
    loud[:, 0] = 1000
    values, scales = quantize_blocks(loud)
    restored = ((values.astype(np.float32) - 128) * scales[..., None]).reshape(loud.shape)
    np.testing.assert_allclose(restored[:, BLOCK:], loud[:, BLOCK:], atol=0.02)


def product(
    folder: Path, quantization: Quantization, signed: bool, rows: np.ndarray, weight: Matrix
) -> np.ndarray:
    graph = Graph(folder / "product.data", quantization, signed)
    x = graph.input("x", FLOAT, "n", rows.shape[1])
    graph.output("y", FLOAT, graph.linear(x, weight), "n", len(weight))
    graph.save(folder / "product.onnx")
    (y,) = open_session(folder / "product.onnx", 1).run(["y"], {"x": rows})
    return y


@pytest.mark.parametrize(("quantization", "tolerance"), [("none", 1e-5), ("rows", 0.2), ("blocks", 0.2)])
def test_the_graph_multiplies(tmp_path: Path, quantization: Quantization, tolerance: float) -> None:
    y = product(tmp_path, quantization, multiplies_exactly(), ROWS, WEIGHT)
    np.testing.assert_allclose(y, ROWS @ WEIGHT.T, atol=tolerance)


@pytest.mark.parametrize("n", [2, 3, 7])
def test_in_4_bits_a_weight_is_scale_times_nibble_and_minimum(tmp_path: Path, n: int) -> None:
    """Inputs that 8 bits hold exactly: whatever else the kernel does, the weights are those of the blocks."""
    draw = np.random.default_rng(2)
    weight = Nibbles(
        draw.integers(0, 256, (24, 2, BLOCK // 2), np.uint8),
        draw.uniform(-0.1, 0.1, (24, 2)).astype(np.float16),
        draw.uniform(-3, 3, (24, 2)).astype(np.float16),
    )
    rows = draw.integers(-127, 128, (n, 2 * BLOCK)).astype(np.float32)
    rows[:, ::BLOCK] = 127
    y = product(tmp_path, "rows", True, rows, weight)
    exact = rows.astype(np.float64) @ weight.widened().astype(np.float64).T
    np.testing.assert_allclose(y, exact, rtol=1e-5, atol=1e-5 * np.abs(exact).max())


def test_in_8_bits_a_weight_is_scale_times_octet(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    octets = draw.integers(-128, 128, (24, 2, BLOCK)).astype(np.int8)
    weight = Octets(octets, draw.uniform(-0.1, 0.1, (24, 2)).astype(np.float16))
    rows = draw.integers(-127, 128, (1, 2 * BLOCK)).astype(np.float32)
    rows[:, ::BLOCK] = 127
    exact = rows.astype(np.float64) @ weight.widened().astype(np.float64).T
    np.testing.assert_allclose(
        product(tmp_path, "rows", True, rows, weight), exact, rtol=1e-5, atol=1e-5 * np.abs(exact).max()
    )


def test_so_few_rows_as_this_machine_asks_for_have_the_bits_that_they_have_among_many(tmp_path: Path) -> None:
    draw = np.random.default_rng(4)
    weight = Nibbles(
        draw.integers(0, 256, (96, 5, BLOCK // 2), np.uint8), *draw.random((2, 96, 5)).astype(np.float16)
    )
    rows = draw.standard_normal((32, 5 * BLOCK)).astype(np.float32)
    many = product(tmp_path, "rows", True, rows, weight)
    for n in range(fewest_rows(), 32):
        (tmp_path / str(n)).mkdir()
        np.testing.assert_array_equal(product(tmp_path / str(n), "rows", True, rows[:n], weight), many[:n])


def test_a_row_of_zeros_gives_zeros(tmp_path: Path) -> None:
    y = product(tmp_path, "rows", True, np.zeros_like(ROWS), WEIGHT)
    np.testing.assert_array_equal(y, np.zeros((7, 24), np.float32))


def test_a_machine_without_exact_mixed_products_computes_the_same(tmp_path: Path) -> None:
    """Integers are exact: only the speed differs."""
    (tmp_path / "signed").mkdir()
    unsigned = product(tmp_path, "rows", False, ROWS, WEIGHT)
    if multiplies_exactly():
        np.testing.assert_array_equal(unsigned, product(tmp_path / "signed", "rows", True, ROWS, WEIGHT))
    np.testing.assert_allclose(unsigned, ROWS @ WEIGHT.T, atol=0.2)


def test_a_graph_packed_for_this_machine_computes_the_same_and_keeps_its_notes(tmp_path: Path) -> None:
    weight = Octets(np.arange(-64, 64, dtype=np.int8).reshape(2, 2, BLOCK), np.ones((2, 2), np.float16))
    graph = Graph(tmp_path / "plain.data", "rows", True)
    graph.output("y", FLOAT, graph.linear(graph.input("x", FLOAT, "n", 64), weight), "n", 2)
    graph.save(tmp_path / "plain.onnx", fewest_rows="2")
    write_packed(tmp_path / "plain.onnx", tmp_path / "packed.onnx")
    plain = open_session(tmp_path / "plain.onnx", 1)
    (tmp_path / "plain.data").unlink()
    packed = open_session(tmp_path / "packed.onnx", 1)
    np.testing.assert_array_equal(packed.run(["y"], {"x": ROWS})[0], plain.run(["y"], {"x": ROWS})[0])
    assert packed.get_modelmeta().custom_metadata_map == {"fewest_rows": "2"}
