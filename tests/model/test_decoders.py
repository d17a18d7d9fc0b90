"""What every decoder must do: each fast path against the slow one, on torch and on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from model.checkpoint.coder import Qwen2Config
from model.checkpoint.opening import EMBEDDED_FOLDER, Checkpoint, open_checkpoint
from model.checkpoint.tensors import Weights, table
from model.engines.decoder import Decoder
from model.engines.onnx.build import build_decoder
from model.engines.onnx.decoder import OnnxDecoder
from model.engines.onnx.session import open_session
from model.engines.torch.cuda_decoder import CudaDecoder
from model.engines.torch.cuda_network import fuse
from model.engines.torch.decoder import TorchDecoder
from model.engines.torch.engine import load_network
from model.settings import EMBEDDED_TINY
from tests.model.engines.test_torch_decoder import CPU, greedy
from tests.tiny_checkpoint import tiny_config, tiny_network, write_packed_checkpoint

IDS = [(7 * i + i // 40) % 300 for i in range(120)]
ENGINES = (
    "torch",
    "static",
    "none",
    "rows",
    "blocks",
    "4 bits",
    "4 bits, the embedding too",
)  # "static": of CUDA; on ONNX Runtime, the quantization, or what lies in the checkpoint

New = Callable[..., Decoder]  # capacity, n_slots


@pytest.fixture(scope="module", params=ENGINES)
def new(request: pytest.FixtureRequest, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> New:
    """Makes decoders of one engine, all with the same weights."""
    network = tiny_network(tiny_config())
    if request.param == "torch":
        return lambda capacity=160, n_slots=1: TorchDecoder(network, capacity, n_slots)
    if request.param == "static":
        weights = fuse(network)
        return lambda capacity=160, n_slots=1: CudaDecoder(weights, capacity, n_slots)
    if request.param.startswith("4 bits"):
        bits = 4 if request.param.endswith("too") else 8
        folder = write_packed_checkpoint(tmp_path_factory.mktemp("packed"), embedding_bits=bits)
        return onnx_decoders(open_checkpoint(str(folder)), tmp_path_factory.mktemp("graph"), "blocks")
    return onnx_decoders(open_checkpoint(str(tiny_folder)), tmp_path_factory.mktemp("graph"), request.param)


def onnx_decoders(checkpoint: Checkpoint, folder: Path, quantization: str, threads: int = 1) -> New:
    config = Qwen2Config.from_json(checkpoint.config)
    weights = Weights(checkpoint.tensors, in_blocks=quantization != "none")
    packing = None if quantization == "none" else checkpoint.packing
    build_decoder(folder, config, weights, quantization, packing)
    session = open_session(folder / "decoder.onnx", threads)
    embeddings = table(checkpoint.tensors, "model.embed_tokens.weight")
    return lambda capacity=160, n_slots=1: OnnxDecoder(session, embeddings, config, capacity, n_slots)


def assert_same(decoder: Decoder, logits: np.ndarray, expected: np.ndarray) -> None:
    """torch's kernels for one row and for many differ in the last bits, ours must not: drafts would not be lossless."""
    if isinstance(decoder, TorchDecoder | CudaDecoder):
        np.testing.assert_allclose(logits, expected, atol=1e-4, rtol=1e-4)
    else:
        np.testing.assert_array_equal(logits, expected)


def one_by_one(decoder: Decoder, ids: list[int]) -> np.ndarray:
    return np.stack([decoder.extend(decoder.embed([i])) for i in ids])


@pytest.mark.parametrize("width", [1, 2, 3, 8, 17, 64, 120])
def test_rows_are_the_same_at_every_width(new: New, width: int) -> None:
    slow, fast = new(), new()
    expected = one_by_one(slow, IDS)
    pieces = [IDS[i : i + width] for i in range(0, len(IDS), width)]
    rows = [fast.extend(fast.embed(piece), all_rows=True) for piece in pieces]
    assert_same(fast, np.concatenate(rows), expected)


def test_the_last_row_is_the_last_of_all_rows(new: New) -> None:
    last, every = new(), new()
    expected = every.extend(every.embed(IDS[:30]), all_rows=True)[-1]
    assert_same(last, last.extend(last.embed(IDS[:30])), expected)


def test_after_a_rewind_nothing_of_what_was_forgotten_remains(new: New) -> None:
    used, fresh = new(), new()
    used.extend(used.embed(IDS[:40]))
    used.rewind(25)
    assert used.length == 25
    fresh.extend(fresh.embed(IDS[:25]))
    assert_same(used, one_by_one(used, [5, 6, 7]), one_by_one(fresh, [5, 6, 7]))


def test_each_slot_holds_a_sequence_of_its_own(new: New) -> None:
    slots, first, second = new(n_slots=2), new(), new()
    assert slots.n_slots == 2
    slots.extend(slots.embed(IDS[:20]))
    slots.select(1)
    assert slots.length == 0
    slots.extend(slots.embed(IDS[30:35]))
    first.extend(first.embed(IDS[:20]))
    second.extend(second.embed(IDS[30:35]))
    assert greedy(slots, [5], 8) == greedy(second, [5], 8)
    slots.select(0)
    assert greedy(slots, [5], 8) == greedy(first, [5], 8)


PARENTS = [-1, 0, 0, 1, 2, 2, 5, 3]
TOKENS = [11, 12, 13, 14, 15, 16, 17, 18]
PATHS = ([0, 1, 3, 7], [0, 2, 4], [0, 2, 5, 6])


@pytest.mark.parametrize("length", [0, 20, 100])
def test_a_tree_gives_each_branch_the_logits_of_a_run_of_its_own(new: New, length: int) -> None:
    """FastCoder 3.3: branches below one root, verified in one pass."""
    tree = new()
    if length:
        tree.extend(tree.embed(IDS[:length]))
    rows = tree.extend(tree.embed(TOKENS), parents=PARENTS)
    for path in PATHS:
        alone = new()
        if length:
            alone.extend(alone.embed(IDS[:length]))
        assert_same(tree, np.stack([rows[i] for i in path]), one_by_one(alone, [TOKENS[i] for i in path]))


@pytest.mark.parametrize("path", PATHS)
def test_a_kept_branch_continues_as_if_it_had_been_typed(new: New, path: list[int]) -> None:
    tree, alone = new(), new()
    tree.extend(tree.embed(IDS[:20]))
    tree.extend(tree.embed(TOKENS), parents=PARENTS)
    tree.keep(20, path)
    assert tree.length == 20 + len(path)
    alone.extend(alone.embed([*IDS[:20], *(TOKENS[i] for i in path)]))
    assert_same(tree, one_by_one(tree, [9, 10, 11]), one_by_one(alone, [9, 10, 11]))


def test_more_positions_than_the_cache_holds_are_refused_and_leave_it_usable(new: New) -> None:
    small = new(capacity=10)
    small.extend(small.embed(IDS[:8]))
    with pytest.raises(ValueError, match=r"8 \+ 3 positions do not fit a cache of 10"):
        small.extend(small.embed([1, 2, 3]))
    assert small.length == 8
    small.extend(small.embed([1, 2]))


@pytest.mark.parametrize("length", [-1, 9])
def test_a_rewind_to_what_was_never_there_is_refused(new: New, length: int) -> None:
    used = new()
    used.extend(used.embed(IDS[:8]))
    with pytest.raises(ValueError, match="cannot rewind from 8"):
        used.rewind(length)


# --- ONNX Runtime against torch -------------------------------------------------------------------------------------


def test_in_float32_the_graph_gives_the_logits_of_torch(tiny_folder: Path, tmp_path: Path) -> None:
    ours = onnx_decoders(open_checkpoint(str(tiny_folder)), tmp_path, "none")()
    theirs = TorchDecoder(tiny_network(tiny_config()), 160)
    logits = ours.extend(ours.embed(IDS), all_rows=True)
    np.testing.assert_allclose(logits, theirs.extend(theirs.embed(IDS), all_rows=True), atol=1e-3, rtol=1e-4)


SHAPES: dict[str, dict[str, object]] = {  # of Llamas, each head 32 wide
    "three heads to one of two": {"hidden_size": 192, "num_attention_heads": 6, "num_key_value_heads": 2},
    "a head each": {"hidden_size": 96, "num_attention_heads": 3, "num_key_value_heads": 3},
    "all to one, untied": {"num_attention_heads": 2, "num_key_value_heads": 1, "tie_word_embeddings": False},
    "odd numbers of blocks": {"hidden_size": 160, "intermediate_size": 224, "num_attention_heads": 5,
                              "num_key_value_heads": 5},
}  # fmt: skip


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_in_4_bits_the_graph_gives_the_logits_of_the_weights_in_float32(
    tmp_path: Path, shape: dict[str, object], bits: int
) -> None:
    checkpoint = packed_checkpoint(tmp_path, shape, bits)
    plain = TorchDecoder(
        load_network(checkpoint, Qwen2Config.from_json(checkpoint.config), CPU, torch.float32), 160
    )
    expected = plain.extend(plain.embed(IDS), all_rows=True)
    exact, rounded = (onnx_decoders(checkpoint, made(tmp_path / kind), kind)() for kind in ("none", "blocks"))
    np.testing.assert_allclose(exact.extend(exact.embed(IDS), all_rows=True), expected, atol=1e-2, rtol=1e-3)
    logits = rounded.extend(rounded.embed(IDS), all_rows=True)  # inputs of products are in 8 bits
    assert 0 < np.linalg.norm(logits - expected) < 0.1 * np.linalg.norm(expected)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_in_4_bits_a_row_is_the_same_at_every_width_up_to_32(
    tmp_path: Path, shape: dict[str, object], bits: int, threads: int
) -> None:
    new = onnx_decoders(packed_checkpoint(tmp_path, shape, bits), tmp_path, "blocks", threads)
    slow, fast = new(600), new(600)
    ids = [(31 * i + i // 7) % 300 for i in range(32 * 33 // 2)]
    expected, first = one_by_one(slow, ids), 0
    for width in range(1, 33):
        rows = fast.extend(fast.embed(ids[first : first + width]), all_rows=True)
        np.testing.assert_array_equal(rows, expected[first : first + width], err_msg=str(width))
        first += width


@pytest.mark.parametrize("quantization", ["none", "rows", "4 bits"])
def test_a_cache_that_grew_and_shrank_and_grew_gives_the_rows_of_a_fresh_one(
    tmp_path: Path, tiny_folder: Path, quantization: str
) -> None:
    """Cached rows are moved where their span changes, within one memory."""
    if quantization == "4 bits":
        new = onnx_decoders(packed_checkpoint(tmp_path, {}, 8), tmp_path, "blocks")
    else:
        new = onnx_decoders(open_checkpoint(str(tiny_folder)), tmp_path, quantization)
    used, fresh = new(700), new(700)
    ids = [(31 * i + i // 7) % 300 for i in range(690)]
    for first in range(0, 690, 115):
        used.extend(used.embed(ids[first : first + 115]))
    rows = used.read(0, 690)
    for length in (380, 130, 5):
        used.rewind(length)
        used.extend(used.embed([7, 8]))
        used.rewind(length)
    fresh.extend(fresh.embed(ids[:5]))
    assert_same(used, one_by_one(used, ids[5:9]), one_by_one(fresh, ids[5:9]))
    used.rewind(5)
    used.place(rows[5:600], 600)
    again = used.read(0, 600)
    np.testing.assert_array_equal(again.keys, rows.keys[:, :, :600])
    np.testing.assert_array_equal(again.values, rows.values[:, :, :600])


def packed_checkpoint(folder: Path, shape: dict[str, object], bits: int) -> Checkpoint:
    return open_checkpoint(str(write_packed_checkpoint(folder / "coder", embedding_bits=bits, **shape)))


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("quantization", ["rows", "blocks"])
@pytest.mark.skipif(
    not (EMBEDDED_FOLDER / "config.json").is_file(), reason="no embedded model in this checkout"
)
def test_the_embedded_model_in_8_bits_is_exact_at_every_width(
    tmp_path: Path, quantization: str, threads: int
) -> None:
    new = onnx_decoders(open_checkpoint(EMBEDDED_TINY), tmp_path, quantization, threads)
    slow, fast, tree = new(320), new(320), new(320)
    ids = [(31 * i) % 4000 for i in range(300)]
    expected = one_by_one(slow, ids)
    for first, width in ((0, 200), (200, 2), (202, 3), (205, 31), (236, 64)):
        rows = fast.extend(fast.embed(ids[first : first + width]), all_rows=True)
        np.testing.assert_array_equal(rows, expected[first : first + width])
    tree.extend(tree.embed(ids[:240]))
    # Each true token has a sibling in front of it, so that nothing of the true path stands where it would by itself.
    tokens = [token for i in range(240, 272) for token in (7, ids[i])]
    parents = [2 * (i // 2) - 1 for i in range(64)]
    np.testing.assert_array_equal(tree.extend(tree.embed(tokens), parents=parents)[1::2], expected[240:272])
