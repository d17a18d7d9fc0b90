from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from model.checkpoint.adapter import LONGEST_MEMORY, FuserConfig, fuser_shapes
from model.engines.onnx import adapter as onnx_adapter
from model.engines.torch.fuser import Fuser, shortened
from tests.tiny_checkpoint import tiny_config, tiny_network


@pytest.fixture(scope="module")
def fuser() -> Fuser:
    torch.manual_seed(5)
    network = tiny_network(tiny_config())
    shape = {"d_key": 32, "m": 3, "max_tokens": 24, "query_before": 12, "query_after": 6}
    return Fuser.from_coder(network, num_layers=2, **shape).eval()


CHUNKS = [[1, 2, 3], [4, 5, 6, 7, 8, 9, 10, 11], [12], [13] * 20]


@torch.inference_mode()
def test_shapes_and_unit_keys(fuser: Fuser) -> None:
    key, memory = fuser.encode_chunks(CHUNKS)
    assert key.shape == (4, 32)
    assert memory.shape == (4, 3, 64)
    torch.testing.assert_close(key.norm(dim=-1), torch.ones(4))


@torch.inference_mode()
def test_a_chunk_is_encoded_the_same_in_any_company(fuser: Fuser) -> None:
    together = fuser.encode_chunks(CHUNKS)
    for i, chunk in enumerate(CHUNKS):
        alone = fuser.encode_chunks([chunk])
        torch.testing.assert_close(together.key[i], alone.key[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(together.memory[i], alone.memory[0], atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_a_group_is_fused_the_same_in_any_company(fuser: Fuser) -> None:
    groups = [torch.randn(n, 3, 64) for n in (1, 5, 2)]
    together = fuser.fuse(groups)
    for i, group in enumerate(groups):
        torch.testing.assert_close(together.key[i], fuser.fuse([group]).key[0], atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_the_order_of_children_matters(fuser: Fuser) -> None:
    group = torch.randn(4, 3, 64)
    assert not torch.allclose(fuser.fuse([group]).key, fuser.fuse([group.flip(0)]).key, atol=1e-3)


@torch.inference_mode()
def test_what_a_chunk_has_beyond_the_limit_is_not_read(fuser: Fuser) -> None:
    long, cut = fuser.encode_chunks([[7] * 30]), fuser.encode_chunks([[7] * 24])
    torch.testing.assert_close(long.key, cut.key)


@torch.inference_mode()
def test_a_query_reads_the_tokens_nearest_to_the_cursor(fuser: Fuser) -> None:
    near = fuser.encode_query([[5] * 12], [[6] * 6], mark=3)
    torch.testing.assert_close(near.key, fuser.encode_query([[9, 9, *[5] * 12]], [[*[6] * 6, 9]], mark=3).key)
    assert not torch.allclose(
        near.key, fuser.encode_query([[5] * 11 + [9]], [[6] * 6], mark=3).key, atol=1e-3
    )


@torch.inference_mode()
def test_an_empty_text_is_a_node_as_well(fuser: Fuser) -> None:
    assert torch.isfinite(fuser.encode_chunks([[], [1, 2]]).memory).all()
    assert torch.isfinite(fuser.encode_chunks([[]]).memory).all()


@torch.inference_mode()
def test_a_memory_holds_the_embeddings_of_its_part(fuser: Fuser) -> None:
    silent = copy.deepcopy(fuser)
    silent.gain.zero_()
    table = silent.encoder.embed_tokens.weight
    memory = silent.encode_chunks([[1, 2, 3, 4, 5, 6, 7], [8, 9]]).memory
    parts = [[1, 2, 3], [4, 5], [6, 7]]
    for place, part in enumerate(parts):
        torch.testing.assert_close(memory[0, place], table[part].sum(0) / len(part) ** 0.5)
    torch.testing.assert_close(memory[1], torch.stack([table[8], table[9], torch.zeros(64)]))


def test_padding_sends_no_nan_backwards() -> None:
    network = tiny_network(tiny_config()).requires_grad_(True)
    fuser = Fuser.from_coder(network, num_layers=1, d_key=16)
    encoded = fuser.encode_chunks(CHUNKS)
    (encoded.key.sum() + encoded.memory.sum()).backward()
    gradients = [p.grad for p in fuser.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_it_starts_as_the_first_layers_of_the_coder() -> None:
    network = tiny_network(tiny_config())
    fuser = Fuser.from_coder(network, num_layers=1)
    assert torch.equal(fuser.encoder.embed_tokens.weight, network.model.embed_tokens.weight)
    mine, theirs = fuser.encoder.layers[0].state_dict(), network.model.layers[0].state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert len(fuser.encoder.layers) == 1


def test_the_shape_survives_json() -> None:
    config = FuserConfig(300, 64, 96, 2, 4, 2, 16, 1e4, m=2)
    assert FuserConfig.from_json(config.to_json()) == config


def test_the_shapes_of_a_fuser_are_those_of_its_module(fuser: Fuser) -> None:
    assert fuser_shapes(fuser.config) == {
        name: tuple(tensor.shape) for name, tensor in fuser.state_dict().items()
    }


@torch.inference_mode()
def test_memories_of_deep_directories_stay_as_long_as_those_of_shallow_ones(fuser: Fuser) -> None:
    memory = fuser.encode_chunks(CHUNKS * 2).memory
    table = fuser.encoder.embed_tokens.weight
    longest = float(LONGEST_MEMORY * table.square().mean().sqrt())
    lengths = []
    for _ in range(24):
        memory = fuser.fuse([memory] * 8).memory
        lengths.append(float(memory[0].square().mean().sqrt()))
    assert lengths[0] < longest, "the first levels are as they were"
    assert max(lengths) <= longest * 1.001
    assert lengths[-1] == pytest.approx(longest, rel=1e-3)


def test_shortening_leaves_what_is_short_and_is_the_same_in_numpy() -> None:
    memories = torch.randn(3, 2, 64) * torch.tensor([0.1, 1.0, 30.0])[:, None, None]
    short = shortened(memories, torch.tensor(2.0))
    torch.testing.assert_close(short[:2], memories[:2], rtol=0, atol=0)
    assert short[2].square().mean().sqrt() == pytest.approx(2.0, rel=1e-5)
    torch.testing.assert_close(short[2] / short[2].norm(), memories[2] / memories[2].norm())
    np.testing.assert_allclose(onnx_adapter.shortened(memories.numpy(), 2.0), short.numpy(), rtol=1e-6)
