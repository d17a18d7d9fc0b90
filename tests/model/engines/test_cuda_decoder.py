"""The static-shape decoder against the plain one and transformers on the CPU; its graphs where there is a GPU."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from model.engines.decoder import Decoder, tree_mask
from model.engines.torch.cuda_decoder import CudaDecoder
from model.engines.torch.cuda_graphs import GRID, Capture, Graphs, Grid, Run
from model.engines.torch.cuda_network import FUSED_ATTENTION_ROWS, Shape, fuse
from model.engines.torch.decoder import TorchDecoder
from model.engines.torch.qwen2 import Qwen2
from model.loading import load_model
from tests.model.engines.test_torch_decoder import greedy, reference, reference_logits
from tests.tiny_checkpoint import tiny_config, tiny_network

IDS = [(7 * i + i // 40) % 300 for i in range(700)]
SMALL = Grid(widths=(1, 4, 8, 16), tree_widths=(1, 4, 8), shortest_span=16)
CAPACITY = 100


def static(
    network: Qwen2,
    capacity: int = CAPACITY,
    n_slots: int = 1,
    grid: Grid = SMALL,
    capture: Capture | None = None,
) -> CudaDecoder:
    return CudaDecoder(fuse(copy.deepcopy(network)), capacity, n_slots, grid, capture)


def recorded(run: Run) -> Run:
    """Like a CUDA graph, on the CPU: a list of operations on the same tensors, every Python number in it frozen."""
    return make_fx(lambda: (run(), torch.empty(0))[1])()


def not_captured(run: Run) -> Run:
    return run


@pytest.fixture(scope="module")
def network() -> Qwen2:
    return tiny_network(tiny_config())


def assert_close(ours: np.ndarray, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_logits_equal_those_of_transformers(kind: str, tied: bool) -> None:
    config = tiny_config(tie_word_embeddings=tied, model_type=kind)
    network, theirs = tiny_network(config), reference(config)
    theirs.load_state_dict(network.state_dict(), strict=False)
    theirs.tie_weights()
    ours = static(network)
    logits = ours.extend(ours.embed(IDS[:40]), all_rows=True)
    np.testing.assert_allclose(logits, reference_logits(theirs, IDS[:40]), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("n", [1, 2, 4, 5, 15, 16, 17, 31, 32, 33, 63, 64, 65, 99, 100])
def test_a_prompt_of_any_length_gives_the_logits_of_the_plain_decoder(network: Qwen2, n: int) -> None:
    ours, plain = static(network), TorchDecoder(network, CAPACITY)
    assert_close(ours.extend(ours.embed(IDS[:n])), plain.extend(plain.embed(IDS[:n])))
    assert ours.length == n


@pytest.mark.parametrize("n", [FUSED_ATTENTION_ROWS - 1, FUSED_ATTENTION_ROWS, 600])
def test_the_shapes_that_serve_give_the_logits_of_the_plain_decoder(network: Qwen2, n: int) -> None:
    ours, plain = static(network, 700, grid=GRID), TorchDecoder(network, 700)
    assert_close(ours.extend(ours.embed(IDS[:n])), plain.extend(plain.embed(IDS[:n])))
    assert_close(ours.extend(ours.embed(IDS[:3])), plain.extend(plain.embed(IDS[:3])))


def test_decoding_across_every_span_writes_the_tokens_of_the_plain_decoder(network: Qwen2) -> None:
    assert greedy(static(network), IDS[:5], 95) == greedy(TorchDecoder(network, CAPACITY), IDS[:5], 95)


@pytest.mark.parametrize("seed", range(12))
def test_any_tree_anywhere_gives_the_rows_of_the_plain_decoder(network: Qwen2, seed: int) -> None:
    draw = random.Random(seed)
    n, past = draw.randint(1, 8), draw.choice([0, 1, 12, 20, 92])
    parents = [draw.randint(-1, i - 1) for i in range(n)]
    ours, plain = static(network), TorchDecoder(network, CAPACITY)
    vectors, tree = plain.embed(IDS[: past or 1]), plain.embed(draw.choices(range(300), k=n))
    if past:
        ours.extend(vectors)
        plain.extend(vectors)
    rows, expected = ours.extend(tree, parents=parents), plain.extend(tree, parents=parents)
    for row in range(n):
        assert_close(rows[row], expected[row])
    path = [row for row in range(n) if tree_mask(parents)[n - 1, row]]
    ours.keep(past, path)
    plain.keep(past, path)
    assert ours.length == past + len(path)
    if past < 90:
        assert greedy(ours, [9], 5) == greedy(plain, [9], 5)


def test_after_a_rewind_nothing_of_what_was_forgotten_remains(network: Qwen2) -> None:
    used, plain = static(network), TorchDecoder(network, CAPACITY)
    used.extend(used.embed(IDS[200:290]))
    used.rewind(0)
    used.extend(used.embed(IDS[:40]))
    used.rewind(25)
    assert greedy(used, [5, 6, 7], 8) == greedy(plain, [*IDS[:25], 5, 6, 7], 8)
    with pytest.raises(ValueError, match="cannot rewind from 36 to 37"):
        used.rewind(37)


def test_each_slot_holds_a_sequence_of_its_own(network: Qwen2) -> None:
    ours, plain = static(network, n_slots=3), TorchDecoder(network, CAPACITY, n_slots=3)
    assert ours.n_slots == 3
    draw = random.Random(5)
    for _ in range(20):
        slot, n = draw.randrange(3), draw.randint(1, 4)
        for decoder in (ours, plain):
            decoder.select(slot)
        assert ours.length == plain.length
        ids = draw.choices(range(300), k=n)
        assert_close(ours.extend(ours.embed(ids)), plain.extend(plain.embed(ids)))


def test_what_does_not_fit_is_refused_and_leaves_the_cache_usable(network: Qwen2) -> None:
    ours = static(network, capacity=10)
    ours.extend(ours.embed(IDS[:8]))
    with pytest.raises(ValueError, match=r"8 \+ 3 positions do not fit a cache of 10"):
        ours.extend(ours.embed([1, 2, 3]))
    assert ours.length == 8
    ours.extend(ours.embed([1, 2]))
    ours.rewind(0)
    with pytest.raises(ValueError, match="a tree of 9 rows is wider than 8"):
        ours.extend(ours.embed(IDS[:9]), parents=list(range(-1, 8)))


def story(decoder: Decoder) -> list[int]:
    """A bit of everything twice and more, so that every shape is run, captured and replayed; the tokens it wrote."""
    tokens = []
    for round_ in range(4):
        tokens += greedy(decoder, IDS[10 * round_ : 10 * round_ + 14], 6)
        start = decoder.length
        rows = decoder.extend(decoder.embed([11, 12, 13, 14, 15]), parents=[-1, 0, 0, 1, 2 + round_ % 2])
        tokens += [int(rows[row].argmax()) for row in range(5)]
        decoder.keep(start, [0, 2, 4] if round_ % 2 == 0 else [0, 1, 3, 4])
        decoder.select(round_ % decoder.n_slots)
    return tokens


def test_recorded_passes_replayed_elsewhere_write_the_tokens_of_the_plain_decoder(network: Qwen2) -> None:
    """What a CUDA graph must not do either: keep a number of the sequence it was captured in."""
    replayed = static(network, n_slots=2, capture=recorded)
    assert story(replayed) == story(TorchDecoder(network, CAPACITY, n_slots=2))


def counted(capture: Capture) -> tuple[list[str], Callable[[Shape], None], Capture]:
    log: list[str] = []

    def record(run: Run) -> Run:
        log.append("captured")
        replay = capture(run)
        return lambda: (log.append("replayed"), replay())[0]

    return log, lambda shape: log.append(f"ran {shape.width}"), record


def test_a_shape_is_captured_when_it_comes_again_and_replayed_from_then_on() -> None:
    log, step, capture = counted(lambda run: lambda: None)
    graphs = Graphs(step, capture)
    for width in (1, 1, 1, 4, 1, 4):
        graphs.run(Shape(width, 512))
    assert log == ["ran 1", "captured", "replayed", "replayed", "ran 4", "replayed", "captured", "replayed"]


def test_a_device_that_cannot_capture_runs_every_pass_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    def fail(run: Run) -> Run:
        raise RuntimeError("out of memory")

    log, step, capture = counted(fail)
    graphs = Graphs(step, capture)
    for _ in range(3):
        graphs.run(Shape(1, 512))
    assert log == ["ran 1", "captured", "ran 1", "ran 1"]
    assert "CUDA graphs are off, decoding is slower: out of memory" in caplog.text


@pytest.mark.parametrize(("n", "past"), [(1, 0), (4, 12), (5, 8), (5, 9), (16, 84), (3, 97)])
def test_a_shape_has_room_for_its_padding(n: int, past: int) -> None:
    length = SMALL.length(CAPACITY)
    shape = SMALL.shape(n, past, length, tree=False)
    assert n <= shape.width
    assert past + shape.width <= shape.span <= length


def test_warming_up_captures_what_a_first_request_runs_and_leaves_the_cache_empty(network: Qwen2) -> None:
    n_captured = 0

    def capture(run: Run) -> Run:
        nonlocal n_captured
        n_captured += 1
        return run

    ours = static(network, capture=capture)
    ours.warm_up()
    assert (ours.length, n_captured) == (0, 2)
    greedy(ours, IDS[: SMALL.widest - 1], 1)
    assert n_captured == 2


def test_fusing_takes_the_layers_out_of_the_network(network: Qwen2) -> None:
    taken = copy.deepcopy(network)
    weights = fuse(taken)
    assert sum(p.numel() for p in taken.model.layers.parameters()) == 0
    n_fused = sum(t.numel() for layer in weights.layers for t in vars(layer).values() if t is not None)
    assert n_fused == sum(p.numel() for p in network.model.layers.parameters())


def test_bfloat16_stays_as_close_to_float32_as_the_plain_decoder_does(network: Qwen2) -> None:
    rounded = copy.deepcopy(network).to(torch.bfloat16)
    exact = TorchDecoder(copy.deepcopy(rounded).float(), CAPACITY)
    vectors = exact.embed(IDS[:50])
    expected = exact.extend(vectors, all_rows=True)

    def error(decoder: Decoder) -> float:
        logits = decoder.extend(vectors, all_rows=True)
        return float(np.linalg.norm(logits - expected) / np.linalg.norm(expected))

    assert error(static(rounded)) < 1.5 * error(TorchDecoder(rounded, CAPACITY))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_captured_passes_write_the_tokens_of_the_same_passes_not_captured(network: Qwen2) -> None:
    weights = fuse(copy.deepcopy(network).cuda())
    captured = CudaDecoder(weights, CAPACITY, 2, SMALL)
    assert story(captured) == story(CudaDecoder(weights, CAPACITY, 2, SMALL, not_captured))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("n", [1, 70, 300, 600])
def test_captured_passes_give_the_logits_of_the_cpu(network: Qwen2, n: int) -> None:
    captured = CudaDecoder(fuse(copy.deepcopy(network).cuda()), 700)
    plain = TorchDecoder(network, 700)
    for _ in range(3):
        captured.rewind(0)
        logits = captured.extend(captured.embed(IDS[:n]))
    np.testing.assert_allclose(logits, plain.extend(plain.embed(IDS[:n])), atol=1e-2, rtol=1e-2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_model_loaded_for_cuda_completes_as_on_the_cpu(tiny_folder: Path) -> None:
    text = "def add(self, first, second):\n    return"
    on_gpu, on_cpu = (
        load_model(str(tiny_folder), engine="torch", device=device, dtype="float32")
        for device in ("cuda", "cpu")
    )
    assert isinstance(on_gpu.decoder, CudaDecoder)
    ids = on_cpu.vocabulary.encode(text)
    assert greedy(on_gpu.decoder, ids, 24) == greedy(on_cpu.decoder, ids, 24)
