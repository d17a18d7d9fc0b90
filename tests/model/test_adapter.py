from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from model.adapter import Adapter, load_adapter
from model.checkpoint import WeightsError
from model.fuser import Encoded

CPU = torch.device("cpu")
TEXTS = ["class A:\n    def f(self): ...", "x = 1", "", "def g(a, b):\n    return a + b\n" * 40, "naïve = '😀'"]


@pytest.fixture(scope="module")
def adapter(tiny_folder: Path) -> Adapter:
    return load_adapter(tiny_folder, CPU, torch.float32)


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "copy"))


def test_nodes_are_float16_with_unit_keys_in_the_order_of_the_texts(adapter: Adapter) -> None:
    nodes = adapter.encoder.embed(TEXTS)
    assert (nodes.keys.shape, nodes.keys.dtype) == ((5, 32), np.float16)
    assert (nodes.memories.shape, nodes.memories.dtype) == ((5, 2, 64), np.float16)
    np.testing.assert_allclose(np.linalg.norm(nodes.keys.astype(np.float32), axis=1), 1.0, atol=2e-3)
    for i, text in enumerate(TEXTS):
        np.testing.assert_allclose(nodes.keys[i], adapter.encoder.embed([text]).keys[0], atol=2e-3)


def test_batches_are_split_and_put_together_again(adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = adapter.encoder.embed(TEXTS)
    monkeypatch.setattr("model.adapter._BATCH_TOKENS", 1)
    apart = adapter.encoder.embed(TEXTS)
    np.testing.assert_allclose(whole.memories, apart.memories, atol=5e-2, rtol=1e-2)


def test_a_long_text_does_not_pad_many_short_ones(adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    padded: list[int] = []
    encode = adapter.encoder.fuser.encode_chunks

    def recording(chunks: Sequence[Sequence[int]]) -> Encoded:
        padded.append(len(chunks) * max(map(len, chunks)))
        return encode(chunks)

    monkeypatch.setattr(adapter.encoder.fuser, "encode_chunks", recording)
    monkeypatch.setattr("model.adapter._BATCH_TOKENS", 128)
    adapter.encoder.embed(["x y z 1", "a b c d e f g h i j k " * 9] * 8)
    assert max(padded) <= 128
    assert sum(padded) < 8 * 64 + 8 * 24
    assert len(padded) <= 7


def test_groups_of_children_become_parents(adapter: Adapter) -> None:
    memories = adapter.encoder.embed(TEXTS).memories
    parents = adapter.encoder.fuse([memories[:3], memories[3:4], memories])
    assert parents.keys.shape == (3, 32)
    np.testing.assert_allclose(parents.keys[1], adapter.encoder.fuse([memories[3:4]]).keys[0], atol=2e-3)


def test_nothing_in_nothing_out(adapter: Adapter) -> None:
    assert adapter.encoder.embed([]).keys.shape == (0, 32)
    assert adapter.encoder.fuse([]).memories.shape == (0, 2, 64)
    assert adapter.pseudo.project(np.zeros((0, 2, 64), np.float16)).shape == (0, 64)


def test_a_query_reads_only_what_is_near(adapter: Adapter) -> None:
    near = adapter.encoder.query("x" * 50, "y" * 20)
    np.testing.assert_allclose(near, adapter.encoder.query("z\n" * 5000 + "x" * 50, "y" * 20 + "\nz" * 5000), atol=0.2)
    assert np.isfinite(adapter.encoder.query("", "")).all()


def test_one_memory_vector_becomes_one_pseudo_token(adapter: Adapter) -> None:
    memories = adapter.encoder.embed(TEXTS).memories
    vectors = adapter.pseudo.project(memories)
    assert (vectors.shape, vectors.dtype) == ((10, 64), np.float32)
    np.testing.assert_allclose(vectors[2:4], adapter.pseudo.project(memories[1:2]), atol=1e-5)


def test_the_fingerprint_names_the_fuser_and_not_the_projector(folder: Path, adapter: Adapter) -> None:
    def fingerprint() -> str:
        return load_adapter(folder, CPU, torch.float32).encoder.fingerprint

    assert fingerprint() == adapter.encoder.fingerprint
    flip_last_bit(folder / "projector.safetensors")
    assert fingerprint() == adapter.encoder.fingerprint
    flip_last_bit(folder / "fuser.safetensors")
    assert fingerprint() != adapter.encoder.fingerprint


def flip_last_bit(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def edit(folder: Path, **changes: object) -> None:
    raw = json.loads((folder / "adapter.json").read_text())
    (folder / "adapter.json").write_text(json.dumps(raw | changes))


def test_tensors_that_do_not_fit_are_named(folder: Path) -> None:
    edit(folder, projector_layers=3)
    with pytest.raises(WeightsError, match=r"projector\.safetensors does not fit adapter\.json: 0\.bias is \(64,\)"):
        load_adapter(folder, CPU, torch.float32)


@pytest.mark.parametrize("changes", [{"fuser": {}}, {"fuser": 3}, {"hidden_size": "wide"}])
def test_a_damaged_description_is_refused(folder: Path, changes: dict[str, object]) -> None:
    edit(folder, **changes)
    with pytest.raises(WeightsError, match=r"adapter\.json in .* is not an adapter's"):
        load_adapter(folder, CPU, torch.float32)


@pytest.mark.parametrize("name", ["fuser.safetensors", "projector.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=f"has no {name}"):
        load_adapter(folder, CPU, torch.float32)


def test_a_truncated_file_is_named(folder: Path) -> None:
    file = folder / "fuser.safetensors"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(WeightsError, match=r"fuser\.safetensors is truncated"):
        load_adapter(folder, CPU, torch.float32)
