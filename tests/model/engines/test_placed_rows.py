"""Placed rows: with what follows they are one pass over everything under the block mask."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.blocks.block import FIRST, SPAN
from model.checkpoint.opening import EMBEDDED_FOLDER, open_checkpoint
from model.engines.decoder import Decoder, Rows
from model.engines.torch.cuda_decoder import CudaDecoder
from model.engines.torch.cuda_network import fuse
from model.engines.torch.decoder import TorchDecoder
from model.settings import EMBEDDED_TINY
from tests.model.block_mask import in_one_pass
from tests.model.engines.test_cuda_decoder import CAPACITY, SMALL, recorded
from tests.model.engines.test_torch_decoder import reference
from tests.model.test_decoders import IDS, PARENTS, PATHS, TOKENS, New, assert_same, one_by_one, onnx_decoders
from tests.tiny_checkpoint import tiny_config, tiny_network, write_packed_checkpoint, write_tiny_checkpoint

SINK = 3
BLOCKS = (IDS[:17], IDS[40:45], IDS[60:61])
WINDOW = IDS[80:110]
N_PLACED = 1 + sum(map(len, BLOCKS))
ENGINES = ("torch", "static", "none", "rows", "blocks", "4 bits")
SHAPES: dict[str, dict[str, object]] = {
    "tied": {},
    "untied": {"tie_word_embeddings": False},
    "no biases": {"model_type": "llama"},
    "no biases, untied": {"model_type": "llama", "tie_word_embeddings": False},
    "one kv head": {"num_key_value_heads": 1},
    "a kv head each": {"num_key_value_heads": 4},
}
needs_embedded = pytest.mark.skipif(
    not (EMBEDDED_FOLDER / "config.json").is_file(), reason="no embedded model in this checkout"
)


def decoders(engine: str, folder: Path, **changes: object) -> New:
    """Makes decoders of one engine and a tiny network of this shape."""
    if engine == "4 bits":
        packed = write_packed_checkpoint(folder / "coder", embedding_bits=4, **changes)
        return onnx_decoders(open_checkpoint(str(packed)), folder, "blocks")
    network = tiny_network(tiny_config(**changes))
    if engine == "torch":
        return lambda capacity=160, n_slots=1: TorchDecoder(network, capacity, n_slots)
    if engine == "static":
        weights = fuse(network)
        return lambda capacity=160, n_slots=1: CudaDecoder(weights, capacity, n_slots)
    checkpoint = open_checkpoint(str(write_tiny_checkpoint(folder / "coder", adapter=False, **changes)))
    return onnx_decoders(checkpoint, folder, engine)


@pytest.fixture(scope="module", params=ENGINES)
def new(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> New:
    return decoders(request.param, tmp_path_factory.mktemp("graph"))


def sink_of(decoder: Decoder) -> Rows:
    decoder.rewind(0)
    decoder.extend(decoder.embed([SINK]))
    return decoder.read(0, 1)


def block_of(decoder: Decoder, sink: Rows, ids: list[int]) -> Rows:
    """Read behind the sink and nothing else, where it will stand."""
    decoder.rewind(0)
    decoder.place(sink, FIRST - len(ids))
    decoder.extend(decoder.embed(ids))
    return decoder.read(1, 1 + len(ids))


def lay_out(decoder: Decoder, change: Callable[[Rows], Rows] = lambda rows: rows) -> Decoder:
    """The sink and the blocks, and nothing behind them yet."""
    sink = sink_of(decoder)
    placed = [change(rows) for rows in (sink, *(block_of(decoder, sink, ids) for ids in BLOCKS))]
    decoder.rewind(0)
    for rows in placed:
        decoder.place(rows, FIRST)
    return decoder


def by_the_mask(model: torch.nn.Module, window: list[int], n_early: int = 0) -> np.ndarray:
    """Logits behind each row of the window, by transformers in one pass: mask and positions are given by hand. Its
    first `n_early` rows see no block."""
    ids, positions, sees = in_one_pass(SINK, BLOCKS, window, n_early)
    mask = torch.where(torch.from_numpy(sees), 0.0, float("-inf"))[None, None]
    with torch.inference_mode():
        inputs = {"attention_mask": mask, "position_ids": torch.tensor([positions])}
        return model(torch.tensor([ids]), **inputs).logits[0, N_PLACED:].numpy()


def transformers_of(**changes: object) -> torch.nn.Module:
    theirs = reference(tiny_config(**changes))
    theirs.load_state_dict(tiny_network(tiny_config(**changes)).state_dict(), strict=False)
    theirs.tie_weights()
    return theirs


@pytest.mark.parametrize("engine", ["torch", "static", "none"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_placed_rows_and_a_pass_are_one_pass_under_the_block_mask(
    engine: str, shape: dict[str, object], tmp_path: Path
) -> None:
    decoder = lay_out(decoders(engine, tmp_path, **shape)())
    logits = decoder.extend(decoder.embed(WINDOW), all_rows=True)
    np.testing.assert_allclose(logits, by_the_mask(transformers_of(**shape), WINDOW), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("engine", ["torch", "static", "none"])
def test_rows_in_front_of_the_blocks_do_not_see_them_and_those_behind_see_all(
    engine: str, tmp_path: Path
) -> None:
    n_early = len(WINDOW) // 2
    decoder = decoders(engine, tmp_path)()
    sink = sink_of(decoder)
    blocks = [block_of(decoder, sink, ids) for ids in BLOCKS]
    decoder.rewind(0)
    decoder.place(sink, FIRST)
    early = decoder.extend(decoder.embed(WINDOW[:n_early]), all_rows=True)
    for rows in blocks:
        decoder.place(rows, FIRST + n_early)
    late = decoder.extend(decoder.embed(WINDOW[n_early:]), all_rows=True)
    expected = by_the_mask(transformers_of(), WINDOW, n_early)
    np.testing.assert_allclose(np.concatenate([early, late]), expected, atol=1e-4, rtol=1e-4)


@needs_embedded
@pytest.mark.parametrize(("quantization", "error"), [("none", 1e-5), ("rows", 0.1), ("blocks", 0.1)])
def test_placed_rows_of_the_embedded_coder_are_one_pass_under_the_block_mask(
    quantization: str, error: float, tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers

        theirs = transformers.Qwen2ForCausalLM.from_pretrained(EMBEDDED_FOLDER, dtype=torch.float32).eval()
    decoder = lay_out(onnx_decoders(open_checkpoint(EMBEDDED_TINY), tmp_path, quantization)())
    logits, expected = decoder.extend(decoder.embed(WINDOW), all_rows=True), by_the_mask(theirs, WINDOW)
    assert np.linalg.norm(logits - expected) < error * np.linalg.norm(expected)
    if quantization == "none":
        np.testing.assert_allclose(logits, expected, atol=1e-4, rtol=1e-4)


def test_rows_stand_where_they_are_said_to(new: New) -> None:
    decoder = lay_out(new())
    decoder.extend(decoder.embed(WINDOW[:3]))
    expected = [0]
    for block in BLOCKS:
        expected += range(FIRST - len(block), FIRST)
    assert decoder.length == N_PLACED + 3
    assert decoder.read(0, decoder.length).positions.tolist() == [*expected, FIRST, FIRST + 1, FIRST + 2]


def test_a_position_beyond_the_rows_that_a_slot_holds_is_a_position(new: New) -> None:
    """Between all rows the distances are those of a plain sequence: rotary positions are relative."""
    near, far = new(), new()
    ids = near.embed(IDS[:40])
    expected = near.extend(ids, all_rows=True)
    far.place(sink_of(new())[:0], 3000)
    logits = far.extend(ids, all_rows=True)
    assert np.linalg.norm(logits - expected) < 0.05 * np.linalg.norm(expected)
    assert far.read(0, 40).positions.tolist() == list(range(3000, 3040))


def test_rows_read_and_placed_in_another_slot_go_on_alike_to_the_bit(new: New) -> None:
    slots = lay_out(new(n_slots=2))
    slots.extend(slots.embed(WINDOW[:9]))
    rows = slots.read(0, slots.length)
    expected = slots.extend(slots.embed(WINDOW[9:]), all_rows=True)
    slots.select(1)
    for part in (rows[:20], rows[np.arange(20, len(rows))]):
        slots.place(part, FIRST + 9)
    again = slots.read(0, len(rows))
    assert (again.keys == rows.keys).all()
    assert (again.values == rows.values).all()
    np.testing.assert_array_equal(slots.extend(slots.embed(WINDOW[9:]), all_rows=True), expected)


def test_what_was_read_is_a_copy(new: New) -> None:
    decoder = lay_out(new())
    rows = decoder.read(0, decoder.length)
    kept = rows.keys.copy(), rows.values.copy(), rows.positions.copy()
    decoder.rewind(0)
    decoder.extend(decoder.embed(WINDOW))
    for array, before in zip((rows.keys, rows.values, rows.positions), kept, strict=True):
        np.testing.assert_array_equal(array, before)


def test_rows_in_half_precision_from_a_mapped_file_are_placed(new: New, tmp_path: Path) -> None:
    def stored(rows: Rows) -> Rows:
        file = tmp_path / f"{rows.positions[0]}.npy"
        np.save(file, np.stack([rows.keys, rows.values]).astype(np.float16))
        return Rows(*np.load(file, mmap_mode="r"), rows.positions)

    exact, rounded = lay_out(new()), lay_out(new(), stored)
    assert not np.array_equal(rounded.read(0, N_PLACED).keys, exact.read(0, N_PLACED).keys)
    np.testing.assert_allclose(
        rounded.read(0, N_PLACED).values, exact.read(0, N_PLACED).values, rtol=1e-3, atol=1e-6
    )
    expected = exact.extend(exact.embed(WINDOW), all_rows=True)
    logits = rounded.extend(rounded.embed(WINDOW), all_rows=True)
    assert np.linalg.norm(logits - expected) < 0.05 * np.linalg.norm(expected)


@pytest.mark.parametrize("width", [1, 2, 7, 30])
def test_behind_placed_rows_a_row_is_the_same_at_every_width(new: New, width: int) -> None:
    slow, fast = lay_out(new()), lay_out(new())
    pieces = [WINDOW[i : i + width] for i in range(0, len(WINDOW), width)]
    rows = [fast.extend(fast.embed(piece), all_rows=True) for piece in pieces]
    assert_same(fast, np.concatenate(rows), one_by_one(slow, WINDOW))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("typed", [0, 11])
def test_a_tree_behind_placed_rows_is_lossless(new: New, path: list[int], typed: int) -> None:
    tree, alone = lay_out(new()), lay_out(new())
    for decoder in (tree, alone):
        if typed:
            decoder.extend(decoder.embed(WINDOW[:typed]))
    start = tree.length
    rows = tree.extend(tree.embed(TOKENS), parents=PARENTS)
    logits = np.stack([rows[i] for i in path])
    assert_same(tree, logits, one_by_one(alone, [TOKENS[i] for i in path]))
    tree.keep(start, path)
    positions = tree.read(start, tree.length).positions
    assert positions.tolist() == list(range(FIRST + typed, FIRST + typed + len(path)))
    assert_same(tree, one_by_one(tree, [9, 10, 11]), one_by_one(alone, [9, 10, 11]))


@pytest.mark.parametrize("length", [0, 1, 7, 18, 20, N_PLACED, N_PLACED + 4])
def test_after_a_rewind_it_is_as_if_only_what_is_left_had_been_placed(new: New, length: int) -> None:
    used, fresh = lay_out(new()), lay_out(new())
    used.extend(used.embed(WINDOW))
    placed = fresh.read(0, min(length, N_PLACED))
    used.rewind(length)
    fresh.rewind(0)
    if length:
        fresh.place(placed, FIRST)
    if length > N_PLACED:
        fresh.extend(fresh.embed(WINDOW[: length - N_PLACED]))
    assert_same(used, one_by_one(used, [5, 6, 7]), one_by_one(fresh, [5, 6, 7]))
    assert used.read(length, length + 1).positions == fresh.read(length, length + 1).positions


def test_more_rows_than_the_cache_holds_are_refused_and_leave_it_usable(new: New) -> None:
    small = new(capacity=10)
    small.extend(small.embed(IDS[:6]))
    rows = small.read(0, 5)
    with pytest.raises(ValueError, match=r"6 \+ 5 positions do not fit a cache of 10"):
        small.place(rows, FIRST)
    assert small.length == 6
    small.place(rows[:4], FIRST)
    assert small.length == 10


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, 7), (7, 7)])
def test_rows_that_are_not_filled_are_not_read(new: New, start: int, stop: int) -> None:
    decoder = new()
    decoder.extend(decoder.embed(IDS[:6]))
    with pytest.raises(ValueError, match=f"rows {start} to {stop} are not among the 6 that are filled"):
        decoder.read(start, stop)


def test_rows_of_another_network_or_behind_what_follows_are_refused(new: New) -> None:
    decoder = new()
    decoder.extend(decoder.embed(IDS[:6]))
    rows = decoder.read(0, 6)
    wrong = [
        (replace(rows, keys=rows.keys[:1]), "keys"),
        (replace(rows, values=rows.values[:, :, :5]), "values"),
        (replace(rows, keys=rows.keys[..., :-2]), "keys"),
        (replace(rows, values=rows.values.astype(np.int64)), "values"),
        (replace(rows, positions=rows.positions[:, None]), "positions"),
        (replace(rows, positions=rows.positions.astype(np.float32)), "positions"),
    ]
    for other, name in wrong:
        with pytest.raises(ValueError, match=f"^{name} of"):
            decoder.place(other, FIRST)
    with pytest.raises(ValueError, match="rows at 0 to 5 do not stand before 5"):
        decoder.place(rows, 5)
    with pytest.raises(ValueError, match="rows at -1 to 4 do not"):
        decoder.place(replace(rows, positions=rows.positions - 1), SPAN)
    assert decoder.length == 6


def test_passes_recorded_before_rows_were_placed_are_right_behind_them() -> None:
    """What a CUDA graph must not keep: where rows stood when it was captured."""
    network = tiny_network(tiny_config())
    plain = lay_out(TorchDecoder(network, CAPACITY))
    replayed = CudaDecoder(fuse(tiny_network(tiny_config())), CAPACITY, 2, SMALL, recorded)
    for _ in range(3):
        replayed.rewind(0)
        replayed.extend(replayed.embed(IDS[:30]))
        one_by_one(replayed, IDS[:30])
    lay_out(replayed)
    replayed.select(1)
    replayed.select(0)
    expected = one_by_one(plain, WINDOW)
    np.testing.assert_allclose(one_by_one(replayed, WINDOW), expected, atol=1e-4, rtol=1e-4)
