from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.checkpoint.adapter import read_config
from model.checkpoint.files import WeightsError
from model.encoder import Encoder
from model.engines.engine import Engine, Nodes, PseudoTokens
from model.engines.onnx.engine import OnnxEngine
from model.engines.torch.engine import TorchEngine
from model.fusers import load_encoder

ENGINES = {
    "torch": TorchEngine(torch.device("cpu"), torch.float32),
    "onnx int8": OnnxEngine("int8", 1),
    "onnx float32": OnnxEngine("float32", 1),
}
TEXTS = [
    "class A:\n    def f(self): ...",
    "x = 1",
    "",
    "def g(a, b):\n    return a + b\n" * 40,
    "naïve = '😀'",
]


@pytest.fixture(scope="module", params=ENGINES.values(), ids=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.param


@pytest.fixture(scope="module")
def encoder(tiny_folder: Path, engine: Engine) -> Encoder:
    return load_encoder(tiny_folder, read_config(tiny_folder), engine)


@pytest.fixture(scope="module")
def pseudo(tiny_folder: Path, engine: Engine) -> PseudoTokens:
    return engine.projector(tiny_folder, read_config(tiny_folder))


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "copy"))


def test_nodes_are_float16_with_unit_keys_in_the_order_of_the_texts(encoder: Encoder) -> None:
    nodes = encoder.embed(TEXTS)
    assert (nodes.keys.shape, nodes.keys.dtype) == ((5, 32), np.float16)
    assert (nodes.memories.shape, nodes.memories.dtype) == ((5, 2, 64), np.float16)
    np.testing.assert_allclose(np.linalg.norm(nodes.keys.astype(np.float32), axis=1), 1.0, atol=2e-3)
    for i, text in enumerate(TEXTS):
        np.testing.assert_allclose(nodes.keys[i], encoder.embed([text]).keys[0], atol=2e-3)


def test_batches_are_split_and_put_together_again(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encoder.embed(TEXTS)
    monkeypatch.setattr("model.encoder._BATCH_TOKENS", 1)
    apart = encoder.embed(TEXTS)
    np.testing.assert_allclose(whole.memories, apart.memories, atol=5e-2, rtol=1e-2)


class Recording:
    """A fuser that notes how many positions each of its batches is padded to."""

    def __init__(self, encoder: Encoder) -> None:
        self.padded: list[int] = []
        self._fuser = encoder.fuser

    def encode_chunks(self, chunks: Sequence[Sequence[int]]) -> Nodes:
        self.padded.append(len(chunks) * max(map(len, chunks)))
        return self._fuser.encode_chunks(chunks)


def test_a_long_text_does_not_pad_many_short_ones(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording(encoder)
    monkeypatch.setattr("model.encoder._BATCH_TOKENS", 128)
    replace(encoder, fuser=recording).embed(["x y z 1", "a b c d e f g h i j k " * 9] * 8)  # type: ignore[arg-type]
    assert max(recording.padded) <= 128
    assert sum(recording.padded) < 8 * 64 + 8 * 24
    assert len(recording.padded) <= 7


def test_groups_of_children_become_parents(encoder: Encoder) -> None:
    memories = encoder.embed(TEXTS).memories
    parents = encoder.fuse([memories[:3], memories[3:4], memories])
    assert parents.keys.shape == (3, 32)
    np.testing.assert_allclose(parents.keys[1], encoder.fuse([memories[3:4]]).keys[0], atol=2e-3)


def test_nothing_in_nothing_out(encoder: Encoder, pseudo: PseudoTokens) -> None:
    assert encoder.embed([]).keys.shape == (0, 32)
    assert encoder.fuse([]).memories.shape == (0, 2, 64)
    assert pseudo.project(np.zeros((0, 2, 64), np.float16)).shape == (0, 64)


def test_a_query_reads_only_what_is_near(encoder: Encoder) -> None:
    near = encoder.query("x" * 50, "y" * 20)
    np.testing.assert_allclose(
        near, encoder.query("z\n" * 5000 + "x" * 50, "y" * 20 + "\nz" * 5000), atol=0.2
    )
    assert np.isfinite(encoder.query("", "")).all()


def test_one_memory_vector_becomes_one_pseudo_token(encoder: Encoder, pseudo: PseudoTokens) -> None:
    memories = encoder.embed(TEXTS).memories
    vectors = pseudo.project(memories)
    assert (vectors.shape, vectors.dtype) == ((10, 64), np.float32)
    np.testing.assert_allclose(vectors[2:4], pseudo.project(memories[1:2]), atol=1e-5)
    with pytest.raises(ValueError, match="memories are 63 wide, the projector wants 64"):
        pseudo.project(np.zeros((1, 2, 63), np.float16))


@pytest.mark.parametrize(("name", "cosine"), [("onnx float32", 1 - 1e-6), ("onnx int8", 0.997)])
def test_onnx_runtime_computes_what_torch_computes(tiny_folder: Path, name: str, cosine: float) -> None:
    config = read_config(tiny_folder)
    ours, theirs = (load_encoder(tiny_folder, config, ENGINES[kind]) for kind in (name, "torch"))
    children = theirs.embed(TEXTS).memories
    pairs = [
        (ours.embed(TEXTS), theirs.embed(TEXTS)),
        (ours.fuse([children[:2], children]), theirs.fuse([children[:2], children])),
    ]
    for mine, other in pairs:
        assert (
            np.einsum("nd,nd->n", *(n.keys.astype(np.float32) for n in (mine, other))).min() > cosine - 1e-3
        )
        assert cosines(mine.memories, other.memories).min() > cosine
    assert ours.query("def f(", ")") @ theirs.query("def f(", ")") > cosine
    projected = [ENGINES[kind].projector(tiny_folder, config).project(children) for kind in (name, "torch")]
    np.testing.assert_allclose(*projected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["onnx float32", "torch"])
def test_twelve_levels_of_directories_are_the_same_for_both_engines_and_stay_finite(
    tiny_folder: Path, name: str
) -> None:
    encoder = load_encoder(tiny_folder, read_config(tiny_folder), ENGINES[name])
    other = load_encoder(tiny_folder, read_config(tiny_folder), ENGINES["torch"])
    memories = encoder.embed(TEXTS).memories
    for _ in range(12):
        nodes, theirs = (e.fuse([memories[i:] for i in range(5)]) for e in (encoder, other))
        memories = nodes.memories
        assert np.isfinite(memories).all()
        assert cosines(memories, theirs.memories).min() > 1 - 1e-4
        assert np.abs(memories).max() < 60


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def test_the_fingerprint_names_the_fuser_and_not_the_projector(folder: Path) -> None:
    def fingerprint(engine: str = "torch") -> str:
        return load_encoder(folder, read_config(folder), ENGINES[engine]).fingerprint

    before = fingerprint()
    flip_last_bit(folder / "projector.safetensors")
    assert fingerprint() == before == fingerprint("onnx float32")
    assert fingerprint("onnx int8") == before, "one team's vectors for laptops and GPUs"
    flip_last_bit(folder / "fuser.safetensors")
    assert fingerprint() != before


def flip_last_bit(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def edit(folder: Path, **changes: object) -> None:
    raw = json.loads((folder / "adapter.json").read_text())
    (folder / "adapter.json").write_text(json.dumps(raw | changes))


def load(folder: Path, engine: Engine) -> None:
    config = read_config(folder)
    load_encoder(folder, config, engine)
    engine.projector(folder, config)


def test_tensors_that_do_not_fit_are_named(folder: Path, engine: Engine) -> None:
    edit(folder, projector_layers=3)
    with pytest.raises(
        WeightsError, match=r"projector\.safetensors does not fit adapter\.json: 0\.bias is \(64,\)"
    ):
        load(folder, engine)


@pytest.mark.parametrize("changes", [{"fuser": {}}, {"fuser": 3}, {"hidden_size": "wide"}])
def test_a_damaged_description_is_refused(folder: Path, changes: dict[str, object]) -> None:
    edit(folder, **changes)
    with pytest.raises(WeightsError, match=r"adapter\.json in .* is not an adapter's"):
        read_config(folder)


@pytest.mark.parametrize("name", ["fuser.safetensors", "projector.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(folder: Path, name: str, engine: Engine) -> None:
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=f"has no {name}"):
        load(folder, engine)


def test_a_truncated_file_is_named(folder: Path, engine: Engine) -> None:
    file = folder / "fuser.safetensors"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(WeightsError, match=r"fuser\.safetensors is cut or damaged"):
        load(folder, engine)
