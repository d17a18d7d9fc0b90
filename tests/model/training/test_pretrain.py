from __future__ import annotations

import dataclasses
import json
from itertools import islice
from pathlib import Path
from threading import Event

import pytest
import torch

from model.loading import load_model
from model.training.block_rows import visible
from model.training.checkpoint import Journal, load_checkpoint, read_journal, save_checkpoint
from model.training.pretrain import (
    Batches,
    PretrainConfig,
    Pretraining,
    first_coder,
    flops_per_token,
    new_coder,
)
from model.training.sequences import Mix, Sequences
from model.training.tokens import TokenFile
from model.training.workers import Workers, run_workers
from model.vocabulary import Vocabulary


@pytest.fixture
def config(corpus_folder: Path, tmp_path: Path) -> PretrainConfig:
    shape = {"hidden_size": 32, "layers": 2, "heads": 2, "kv_heads": 1, "head_dim": 16, "mlp": 48}
    return PretrainConfig(
        corpus=corpus_folder,
        out=tmp_path,
        batch=2,
        lr=1e-2,
        compile=False,
        max_positions=256,
        tokens=2 * 96 * 6,
        **shape,
    )


@pytest.fixture(scope="module")
def sequences(token_file: TokenFile, corpus_vocabulary: Vocabulary) -> Sequences:
    return Sequences(
        token_file, corpus_vocabulary, Mix(length=96, max_context=80, max_suffix=20, max_middle=20)
    )


def train(config: PretrainConfig, sequences: Sequences) -> Pretraining:
    """As the stage does, on what is in `config.out`."""
    torch.manual_seed(config.seed)
    pretraining = Pretraining(config, new_coder(config, 330))
    pretraining.resume()
    pretraining.go(Batches(sequences, config.batch), Event())
    return pretraining


def test_loss_falls_on_one_batch(config: PretrainConfig, sequences: Sequences) -> None:
    pretraining = Pretraining(config, new_coder(config, 330))
    batch = next(Batches(sequences, 2).starting_at(0))
    losses = [pretraining.step(batch)[0] for _ in range(30)]
    assert losses[0] == pytest.approx(5.8, abs=0.3)  # log 330
    assert losses[-1] < 0.75 * losses[0]


def test_documents_of_a_row_do_not_see_each_other(config: PretrainConfig) -> None:
    coder = new_coder(config, 330).eval()
    torch.manual_seed(0)
    first, second = torch.randint(330, (7,)), torch.randint(330, (5,))
    mask = visible(torch.tensor([[7] * 7 + [12] * 5]), torch.zeros(1, 12, dtype=torch.long))
    positions = torch.tensor([[*range(7), *range(5)]])
    with torch.no_grad():
        together = coder(coder.embed(torch.cat([first, second])[None]), positions, mask)[0]
        alone = [coder(coder.embed(part[None]))[0] for part in (first, second)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_a_stopped_run_ends_where_an_uninterrupted_one_does(
    config: PretrainConfig, sequences: Sequences
) -> None:
    whole = train(config, sequences)
    halves = dataclasses.replace(config, out=config.out / "halves")

    class StopAfterThree(Event):
        asked = 0

        def is_set(self) -> bool:
            self.asked += 1
            return self.asked >= 3

    torch.manual_seed(config.seed)
    first = Pretraining(halves, new_coder(halves, 330))
    first.go(Batches(sequences, 2), StopAfterThree())
    assert len(read_journal(halves.out / "journal.jsonl")) == 3
    second = train(halves, sequences)
    for name, value in whole.coder.state_dict().items():
        assert torch.equal(value, second.coder.state_dict()[name]), name
    journals = [read_journal(out / "journal.jsonl") for out in (config.out, halves.out)]
    assert [line["loss"] for line in journals[0]] == [line["loss"] for line in journals[1]]
    assert [line["step"] for line in journals[1]] == [1, 2, 3, 4, 5, 6]


def test_rows_with_blocks_train_and_resume(
    config: PretrainConfig, token_file: TokenFile, corpus_vocabulary: Vocabulary
) -> None:
    mix = {"length": 512, "context": 1.0, "max_context": 300, "block_share": 1.0}
    blocks = Sequences(token_file, corpus_vocabulary, Mix(**mix))  # type: ignore[arg-type]
    whole = dataclasses.replace(config, mix=mix, separate=False, tokens=2 * 512 * 4)
    assert any((batch[3] > 0).any() for batch in islice(Batches(blocks, 2).starting_at(0), 4))
    halves = dataclasses.replace(whole, out=config.out / "halves", tokens=2 * 512 * 2, decay=0.0)
    straight = train(dataclasses.replace(whole, decay=0.0), blocks)
    train(halves, blocks)
    resumed = train(dataclasses.replace(whole, out=halves.out, decay=0.0), blocks)
    for name, value in straight.coder.state_dict().items():
        assert torch.equal(value, resumed.coder.state_dict()[name]), name


def test_documents_are_apart_wherever_rows_have_blocks(
    config: PretrainConfig, token_file: TokenFile, corpus_vocabulary: Vocabulary
) -> None:
    mix = {"length": 512, "context": 1.0, "max_context": 300, "block_share": 0.5}
    batch = next(Batches(Sequences(token_file, corpus_vocabulary, Mix(**mix)), 2).starting_at(0))  # type: ignore[arg-type]
    losses = []
    for separate, shares in ((True, {}), (False, {}), (False, mix)):
        torch.manual_seed(config.seed)
        settings = dataclasses.replace(config, separate=separate, mix=shares)
        losses.append(Pretraining(settings, new_coder(settings, 330)).step(batch)[0])
    assert losses[0] == losses[2] != losses[1]


def test_the_export_serves_and_transformers_agrees(config: PretrainConfig, sequences: Sequences) -> None:
    transformers = pytest.importorskip("transformers")
    coder = train(config, sequences).coder.eval()
    loaded = load_model(str(config.out / "export"), device="cpu", dtype="float32")
    assert loaded.fim_order == "spm"
    ids = loaded.vocabulary.encode("def lion_0(value):\n    return")
    ours = loaded.decoder.extend(loaded.decoder.embed(ids))
    theirs = transformers.Qwen2ForCausalLM.from_pretrained(str(config.out / "export"), dtype=torch.float32)
    with torch.inference_mode():
        expected = theirs(torch.tensor([ids])).logits[0, -1]
        exact = coder.logits(coder(coder.embed(torch.tensor([ids]))))[0, -1]
    torch.testing.assert_close(torch.from_numpy(ours), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(expected, exact, atol=0.05, rtol=0.05)  # the export is bfloat16


def test_a_finished_coder_is_where_another_run_begins(
    config: PretrainConfig, sequences: Sequences, corpus_vocabulary: Vocabulary
) -> None:
    trained = train(config, sequences).coder
    goes_on = first_coder(dataclasses.replace(config, start=config.out / "export"), corpus_vocabulary)
    for name, value in trained.state_dict().items():
        assert torch.equal(goes_on.state_dict()[name], value.bfloat16().float()), name
    assert all(p.requires_grad for p in goes_on.parameters())


def test_a_start_with_another_tokenizer_is_refused(
    config: PretrainConfig, sequences: Sequences, corpus_vocabulary: Vocabulary
) -> None:
    train(config, sequences)
    file = config.out / "export" / "tokenizer.json"
    table = json.loads(file.read_text())
    table["model"]["merges"].pop()
    table["model"]["vocab"] = {("<last>" if i == 329 else t): i for t, i in table["model"]["vocab"].items()}
    file.write_text(json.dumps(table))
    with pytest.raises(ValueError, match="tokenizer is not that of the corpus"):
        first_coder(dataclasses.replace(config, start=config.out / "export"), corpus_vocabulary)


def test_workers_share_out_the_rows(sequences: Sequences) -> None:
    whole = next(Batches(sequences, 4).starting_at(8))[0]
    parts = [next(Batches(sequences, 4, Workers(rank, 2)).starting_at(8))[0] for rank in (0, 1)]
    assert torch.equal(whole, torch.cat(parts))


def average_in_worker(workers: Workers, folder: Path) -> None:
    parameter = torch.nn.Parameter(torch.zeros(3))
    parameter.grad = torch.tensor([1.0, 2.0, 3.0]) * (1 + 2 * workers.rank)
    notice = workers.average([parameter], (0.5 + workers.rank, 0.0))
    (folder / str(workers.rank)).write_text(json.dumps([parameter.grad.tolist(), notice]))


@pytest.mark.slow
def test_workers_average_gradients_and_follow_the_first(tmp_path: Path) -> None:
    run_workers(2, average_in_worker, tmp_path)
    for rank in ("0", "1"):
        assert json.loads((tmp_path / rank).read_text()) == [[2.0, 4.0, 6.0], [0.5, 0.0]]


def test_one_worker_keeps_its_gradients() -> None:
    parameter = torch.nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([1.0, 2.0])
    assert Workers().average([parameter], (0.5, 1.0)) == [0.5, 1.0]
    assert parameter.grad.tolist() == [1.0, 2.0]


def test_a_checkpoint_is_the_old_or_the_new_one_never_half(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    save_checkpoint(file, {"step": 1})

    class Unwritable:
        def __reduce__(self) -> str:
            raise RuntimeError("killed in the middle")

    with pytest.raises(RuntimeError, match="killed"):
        save_checkpoint(file, {"step": 2, "weights": torch.ones(1000), "bad": Unwritable()})
    assert load_checkpoint(file) == {"step": 1}


def test_there_is_no_checkpoint_before_the_first(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "checkpoint.pt") is None


def test_a_resumed_journal_forgets_what_its_checkpoint_does_not_know(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    journal = Journal(file, 0)
    for step in (1, 2, 3):
        journal.write(step=step)
    with file.open("a") as out:
        out.write('{"step": 4, "lo')  # kill -9 in the middle of a line
    Journal(file, 2).write(step=3, loss=1.0)
    assert read_journal(file) == [{"step": 1}, {"step": 2}, {"step": 3, "loss": 1.0}]


def test_loaders_make_the_same_rows_in_the_same_order(sequences: Sequences) -> None:
    here, ahead = (islice(Batches(sequences, 2, loaders=n).starting_at(6), 3) for n in (0, 2))
    for batch, theirs in zip(here, ahead, strict=True):
        assert all(map(torch.equal, batch, theirs))


def test_the_journal_has_the_speed_and_its_share_of_the_peak(
    config: PretrainConfig, sequences: Sequences
) -> None:
    coder = train(dataclasses.replace(config, peak_tflops=2.0), sequences).coder
    for line in read_journal(config.out / "journal.jsonl"):
        assert line["rate"] > 0
        assert line["mfu"] == pytest.approx(line["rate"] * flops_per_token(coder, 96) / 2e12)
