"""A coder in 4 bits learns the scales of its blocks, and is written in the format that it had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from model.checkpoint.opening import Checkpoint, open_checkpoint
from model.checkpoint.packed import Nibbles
from model.checkpoint.tensors import packed, reader, stored
from model.engines.torch.qwen2 import Qwen2
from model.loading import load_model
from model.training import corpus
from model.training.config import ConfigError
from model.training.corpus import CorpusConfig
from model.training.export import write_coder
from model.training.importing import ImportOptions, run
from model.training.network import load_coder
from model.training.optimization import Optimizers
from model.training.pretrain import Batches, PretrainConfig, Pretraining, new_coder, train
from model.training.scaling import learn_scales, write_scales
from model.training.sequences import Mix, Sequences
from model.training.tokens import TokenFile
from model.training.workers import ALONE
from model.vocabulary import Vocabulary
from tests.model.training.conftest import module_text, write_checkout
from tests.tiny_gguf import write_tiny_gguf


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    write_tiny_gguf(tmp_path / "tiny.gguf")
    run(ImportOptions(tmp_path / "tiny.gguf", tmp_path / "start"))
    return open_checkpoint(str(tmp_path / "start"))


@pytest.fixture
def read_on(tmp_path: Path, checkpoint: Checkpoint) -> Path:
    """A corpus in this coder's tokens: it was taught no holes."""
    names = ["lion", "bear", "wolf", "crow", "toad"]
    files = {f"package/{name}.py": module_text(name, calls="bear") for name in names}
    write_checkout(tmp_path / "checkouts", "ann+zoo", files)
    settings = CorpusConfig(
        out=tmp_path / "corpus",
        checkouts=(tmp_path / "checkouts",),
        with_library=False,
        tokenizer=checkpoint.folder,
    )
    corpus.run(settings)
    return settings.out


def config_of(read_on: Path, **changes: object) -> PretrainConfig:
    mix = {"length": 512, "context": 1.0, "max_context": 300, "block_share": 1.0}
    shape = {"corpus": read_on, "out": read_on / "run", "start": read_on.parent / "start", "scales": True}
    run = {"batch": 2, "tokens": 8 * 2 * 512, "lr": 3e-2, "compile": False, "mix": mix}
    return PretrainConfig(**(shape | run | changes))  # type: ignore[arg-type]


def learning(checkpoint: Checkpoint) -> Qwen2:
    coder = load_coder(checkpoint, trained=True)
    learn_scales(coder, checkpoint)
    return coder


def weights_of(coder: torch.nn.Module, checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """Of each matrix in 4 bits, as the network computes with it."""
    return {
        f"{name}.weight": layer.weight.detach().numpy()
        for name, layer in coder.named_modules()
        if isinstance(layer, torch.nn.Linear) and packed(checkpoint.tensors, f"{name}.weight")
    }


def test_it_begins_as_the_checkpoint_and_only_scales_and_norms_are_learned(checkpoint: Checkpoint) -> None:
    coder = learning(checkpoint)
    read = reader(checkpoint.tensors)
    for name, weight in weights_of(coder, checkpoint).items():
        np.testing.assert_allclose(weight, read(name), atol=1e-6)
    learned = [name for name, parameter in coder.named_parameters() if parameter.requires_grad]
    assert len(learned) == 2 * (7 * 2 + 2) + 1
    assert all("original" in name or "norm" in name for name in learned)
    assert len(Optimizers([(coder, 1e-3)], weight_decay=0.1, muon=True).state()) == 1  # Muon is for matrices


def test_what_was_learned_is_what_is_written(checkpoint: Checkpoint, tmp_path: Path) -> None:
    coder = learning(checkpoint)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in coder.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
    (checkpoint.folder / "recall.json").write_text("{}")
    write_scales(coder, checkpoint, tmp_path / "out")
    assert (tmp_path / "out" / "recall.json").read_text() == "{}"
    written = open_checkpoint(str(tmp_path / "out"))
    read, norms = reader(written.tensors), dict(coder.named_parameters())
    weights = weights_of(coder, checkpoint)
    assert len(weights) == 14
    for name, weight in weights.items():
        before, after = packed(checkpoint.tensors, name), packed(written.tensors, name)
        assert isinstance(before, Nibbles)
        assert isinstance(after, Nibbles)
        np.testing.assert_array_equal(after.nibbles, before.nibbles)
        assert np.abs(after.widened() - before.widened()).max() > 1e-3
        step = np.repeat(before.scale.astype(np.float32), 32, axis=1)
        assert (np.abs(after.widened() - weight) < 0.06 * step).all()
    for name, tensor in written.tensors.items():
        assert (tensor.dtype, tensor.shape) == (
            checkpoint.tensors[name].dtype,
            checkpoint.tensors[name].shape,
        )
        if "norm" in name:
            np.testing.assert_allclose(read(name), norms[name].detach().numpy(), rtol=2**-8)
        elif "embed" in name:
            np.testing.assert_array_equal(stored(tensor), stored(checkpoint.tensors[name]))
    assert written.fingerprint() != checkpoint.fingerprint()


def test_the_stage_learns_goes_on_and_serves(checkpoint: Checkpoint, read_on: Path) -> None:
    config = config_of(read_on)
    train(ALONE, config)
    loaded = load_model(str(config.out / "export"), device="cpu", dtype="int8")
    assert not loaded.vocabulary.fim.fills
    decoder = loaded.own_decoder
    assert decoder.extend(decoder.embed([1, 2, 3])).shape[-1] == loaded.vocabulary.tokenizer.get_vocab_size()
    again = Pretraining(config, learning(checkpoint))
    assert again.resume()
    assert again.progress == 1.0


def test_a_run_goes_on_though_its_export_took_the_place_of_its_start(
    checkpoint: Checkpoint, read_on: Path
) -> None:
    config = config_of(read_on)
    train(ALONE, config)
    export = open_checkpoint(str(config.out / "export"))
    coder = learning(export)
    Pretraining(config, coder).resume()
    write_scales(coder, export, config.out / "again")
    again = reader(open_checkpoint(str(config.out / "again")).tensors)
    for name in weights_of(coder, export):
        np.testing.assert_array_equal(again(name), reader(export.tensors)(name))


def test_loss_falls_on_one_batch(checkpoint: Checkpoint, read_on: Path) -> None:
    config = config_of(read_on)
    coder = learning(checkpoint)
    rows = Sequences(
        TokenFile.load(read_on), Vocabulary.load(checkpoint.folder / "tokenizer.json"), Mix(**config.mix)
    )
    batch = next(Batches(rows, 2).starting_at(0))
    pretraining = Pretraining(config, coder)
    losses = [pretraining.step(batch)[0] for _ in range(20)]
    assert losses[-1] < 0.9 * losses[0]


def test_a_coder_in_plain_numbers_has_no_scales(
    checkpoint: Checkpoint, tmp_path: Path, read_on: Path
) -> None:
    with pytest.raises(ConfigError, match="scales"):
        train(ALONE, config_of(read_on, start=None))
    plain = new_coder(config_of(read_on), 330)
    write_coder(plain, read_on / "tokenizer", tmp_path / "plain")
    with pytest.raises(ValueError, match="no matrix in 4 bits"):
        learn_scales(plain, open_checkpoint(str(tmp_path / "plain")))


def test_rows_of_a_coder_without_holes_show_what_is_below_as_the_last_block(
    checkpoint: Checkpoint, read_on: Path
) -> None:
    """Sink, blocks, then prefix and middle as one text; what stands below the middle's line is in a block."""
    vocabulary = Vocabulary.load(checkpoint.folder / "tokenizer.json")
    tokens = TokenFile.load(read_on)
    mix = Mix(length=1024, fim=1.0, context=1.0, block_share=1.0, max_middle=400)
    rows = Sequences(tokens, vocabulary, mix)
    decode = vocabulary.tokenizer.decode
    files = [decode(tokens.tokens[f.start : f.end].tolist()) for r in tokens.repositories for f in r.files]
    n_checked = 0
    for row in map(rows.row, range(12)):
        first = row.documents == row.documents[0]
        ids, blocks, positions = row.ids[:-1][first], row.blocks[first], row.positions[first]
        assert ids[0] == vocabulary.fim.end
        assert positions[0] == blocks[0] == 0
        if blocks.max():
            # It ends where the next line's text begins.
            written = decode(ids[1:][blocks[1:] <= 0].tolist()).rstrip()
            below = decode(ids[blocks == blocks.max()].tolist())
            n_checked += any(f"{written}\n{below}" in file for file in files)
    assert n_checked >= 5


def test_nothing_is_below_where_rows_have_no_blocks(checkpoint: Checkpoint, read_on: Path) -> None:
    vocabulary = Vocabulary.load(checkpoint.folder / "tokenizer.json")
    rows = Sequences(TokenFile.load(read_on), vocabulary, Mix(length=512, fim=1.0, context=0.5))
    for row in map(rows.row, range(12)):
        assert not row.blocks.any()
        starts = np.flatnonzero(np.diff(row.documents, prepend=-1))
        assert (row.ids[starts] == vocabulary.fim.end).all()
