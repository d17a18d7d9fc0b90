from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.engines.onnx.build import multiplies_exactly
from model.engines.onnx.graph import FLOAT, Graph
from model.engines.onnx.quantization import BLOCK, Quantization, quantize_blocks, quantize_rows
from model.engines.onnx.session import open_session

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
    folder: Path, quantization: Quantization, signed: bool, rows: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    graph = Graph(folder / "product.data", quantization, signed)
    x = graph.input("x", FLOAT, "n", weight.shape[1])
    graph.output("y", FLOAT, graph.linear(x, weight), "n", weight.shape[0])
    graph.save(folder / "product.onnx")
    (y,) = open_session(folder / "product.onnx", 1).run(["y"], {"x": rows})
    return y


@pytest.mark.parametrize(("quantization", "tolerance"), [("none", 1e-5), ("rows", 0.2), ("blocks", 0.2)])
def test_the_graph_multiplies(tmp_path: Path, quantization: Quantization, tolerance: float) -> None:
    y = product(tmp_path, quantization, multiplies_exactly(), ROWS, WEIGHT)
    np.testing.assert_allclose(y, ROWS @ WEIGHT.T, atol=tolerance)


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
