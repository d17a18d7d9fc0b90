from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch

from model.blocks.block import SPAN
from model.checkpoint.opening import open_checkpoint
from model.completer import Completer
from model.context import LATE_TOKENS
from model.families import FimOrder
from model.loading import fim_order, load_model
from model.prompt import PSEUDO
from model.request import Request
from model.training.adapter_config import AdapterStage
from model.training.adapter_training import AdapterTraining, build_network, first_adapter
from model.training.batches import AdapterBatch, Batcher
from model.training.checkpoint import read_journal
from model.training.contexts import ContextRow, ModeMix, RowBuilder, RowShape
from model.training.losses import mean_pairwise_cosine, middle_losses
from model.training.network import load_coder
from model.training.samples import RepositorySamples
from model.vocabulary import Vocabulary
from tests.tiny_checkpoint import write_tiny_checkpoint

SHAPE = RowShape(length=192, suffix=40, middle=24, snippets=64, hybrid_text=32, signatures=24, recite=16)


@pytest.fixture
def config(tiny_folder: Path, tmp_path: Path) -> AdapterStage:
    return AdapterStage(
        coder=str(tiny_folder),
        samples=tmp_path,
        out=tmp_path / "out",
        steps=4,
        seconds=1e9,
        batch=4,
        fuser_layers=1,
        m=2,
        d_key=32,
        projector_layers=2,
        chunk_tokens=48,
        compile=False,
        decay=0.3,
        utility=1.0,
    )


def batcher(
    config: AdapterStage, samples: list[RepositorySamples], vocabulary: Vocabulary, **modes: float
) -> Batcher:
    rows = RowBuilder(vocabulary, fim_order(open_checkpoint(config.coder), vocabulary), SHAPE, config.m)
    return Batcher(samples, rows, ModeMix(**modes), config, SHAPE.length, vocabulary)  # type: ignore[arg-type]


def training(config: AdapterStage) -> AdapterTraining:
    torch.manual_seed(config.seed)
    checkpoint = open_checkpoint(config.coder)
    return AdapterTraining(config, checkpoint, Vocabulary.load(checkpoint.folder / "tokenizer.json"))


ONLY_PSEUDO = {
    "none": 0.0,
    "snippets": 0.0,
    "pseudo": 1.0,
    "hybrid": 0.0,
    "recite": 0.0,
    "foreign": 0.0,
    "noise": 0.0,
}


def test_rows_of_every_mode_are_the_prompts_of_serving(
    samples: list[RepositorySamples], vocabulary: Vocabulary, tiny_folder: Path
) -> None:
    """What the completer would send for the same hits, token for token."""
    repository = samples[0]
    sample = repository.samples[0]
    hits = [repository.passages[i] for i in sample.hits]
    rows = RowBuilder(vocabulary, "spm", SHAPE, m=2)
    fim = vocabulary.fim
    for row, n_slots in (
        (rows.none(sample), 0),
        (rows.snippets(sample, hits), 0),
        (rows.pseudo(sample, 3), 6),
        (rows.hybrid(sample, 3, hits), 6),
    ):
        assert row.ids[:n_slots] == [PSEUDO] * n_slots
        assert PSEUDO not in row.ids[n_slots:]
        assert len(row.ids) <= SHAPE.length
        assert len(row.weights) == len(row.ids)
        ahead = row.ids.index(fim.prefix)
        assert (
            row.ids[ahead + 1 : row.middle] == vocabulary.encode(sample.prefix)[-(row.middle - ahead - 1) :]
        )
        middle = [*vocabulary.encode(sample.middle), fim.end][: SHAPE.middle]
        assert row.ids[row.middle :] == middle
        assert row.weights[row.middle :] == [1.0] * len(middle)


def test_a_recited_row_repeats_a_stretch_of_each_chunk_behind_their_memories(
    samples: list[RepositorySamples], vocabulary: Vocabulary
) -> None:
    passages = samples[0].passages[:3]
    rows = RowBuilder(vocabulary, "spm", dataclasses.replace(SHAPE, recite=40), m=2)
    row = rows.recite(passages, random.Random(3))
    assert row.ids[:6] == [PSEUDO] * 6
    assert (row.middle, row.weights) == (6, [0.0] * 7 + [1.0] * (len(row.ids) - 7))
    text = vocabulary.tokenizer.decode(row.ids[6:], skip_special_tokens=False)
    stretches = text.split(vocabulary.tokenizer.id_to_token(vocabulary.fim.file_sep))[1:]
    found = [
        [p for p in passages if body.rstrip() in p.leaf] for _, body in (s.split("\n", 1) for s in stretches)
    ]
    assert sorted(p.leaf for [p] in found) == sorted(p.leaf for p in passages)


def test_contexts_never_show_the_answer(samples: list[RepositorySamples]) -> None:
    """No passage overlaps the lines around the cursor of its own file."""
    for repository in samples:
        for sample in repository.samples:
            around = sample.prefix[-200:] + sample.middle + sample.suffix[:200]
            for i in {*sample.hits, *sample.siblings}:
                passage = repository.passages[i]
                assert (
                    passage.path != sample.path
                    or sample.middle not in passage.text
                    or passage.text not in around
                )


def test_the_positive_shares_words_with_the_target(samples: list[RepositorySamples]) -> None:
    checked = 0
    for repository in samples:
        for sample in repository.samples:
            if sample.positive >= 0:
                text = repository.passages[sample.hits[sample.positive]].text
                assert any(word in text for word in sample.middle.replace("(", " ").split())
                checked += 1
    assert checked


def test_loss_falls_on_one_batch(
    config: AdapterStage, samples: list[RepositorySamples], vocabulary: Vocabulary
) -> None:
    run = training(dataclasses.replace(config, steps=1000, warmup=0.0, coder_lr=1e-2, lr=1e-2))
    batch = batcher(config, samples, vocabulary).batch(0, 0.5, None)
    found = [run.step([batch])[0]["loss"] for _ in range(30)]
    assert found[-1] < 0.7 * found[0]


def test_a_frozen_coder_does_not_move_and_the_adapter_does(
    config: AdapterStage, samples: list[RepositorySamples], vocabulary: Vocabulary
) -> None:
    run = training(dataclasses.replace(config, train_coder=False))
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    run.step([batcher(config, samples, vocabulary, **ONLY_PSEUDO).batch(0, 0.5, None)])
    moved = {name for name, value in run.network.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert not {name for name in moved if name.startswith("coder.")}
    assert {name.split(".")[0] for name in moved} == {"fuser", "projector"}


def test_a_frozen_coder_learns_nothing_from_rows_without_context(
    config: AdapterStage, samples: list[RepositorySamples], vocabulary: Vocabulary
) -> None:
    run = training(dataclasses.replace(config, train_coder=False))
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    bare = {"none": 1.0, "snippets": 0.0, "pseudo": 0.0, "hybrid": 0.0, "recite": 0.0}
    measured, _ = run.step([batcher(config, samples, vocabulary, **bare).batch(0, 0.5, None)])
    assert measured["loss_none"] > 0
    assert all(torch.equal(value, before[name]) for name, value in run.network.state_dict().items())


def test_a_stopped_run_ends_where_an_uninterrupted_one_does(
    config: AdapterStage, samples: list[RepositorySamples], vocabulary: Vocabulary
) -> None:
    batches = batcher(config, samples, vocabulary)
    whole = training(config)
    whole.go(batches, Event())
    halves = dataclasses.replace(config, out=config.out / "halves")
    first = training(halves)
    for number in range(2):
        first.step([batches.batch(number, first.progress, first.utilities)])
    first.save()
    second = training(halves)
    assert second.resume()
    second.go(batches, Event())
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name
    assert [line["step"] for line in read_journal(halves.out / "journal.jsonl")] == [3, 4]


def test_harmful_contexts_are_left_out_and_the_others_weighted(
    config: AdapterStage, samples: list[RepositorySamples], vocabulary: Vocabulary
) -> None:
    gains = [-0.5, 0.0, 0.25, -0.1]

    def utilities(without: AdapterBatch, with_text: AdapterBatch) -> torch.Tensor:
        assert len(without.ids) == len(with_text.ids) == 4
        return torch.tensor(gains)

    batch = batcher(config, samples, vocabulary, **ONLY_PSEUDO).batch(0, 0.9, utilities)
    assert batch.modes == ("none", "pseudo", "pseudo", "none")
    weights = [float(batch.weights[i][batch.middles[i]].max()) for i in range(4)]
    assert weights[1] == pytest.approx(1.0)
    assert weights[2] == pytest.approx(2 / (1 + np.exp(-1)), rel=1e-5)


def test_every_slot_has_its_node_and_parents_have_children(
    config: AdapterStage, samples: list[RepositorySamples], vocabulary: Vocabulary
) -> None:
    batches = batcher(config, samples, vocabulary)
    seen_parents = seen_directories = 0
    for number in range(12):
        batch = batches.batch(number, 0.1, None)
        n_nodes = len(batch.leaves) + len(batch.groups)
        assert int((batch.ids == PSEUDO).sum()) == config.m * len(batch.slots)
        assert all(0 <= slot < n_nodes for slot in batch.slots)
        for g, group in enumerate(batch.groups):
            is_file = all(0 <= child < len(batch.leaves) for child in group)
            is_directory = all(len(batch.leaves) <= child < len(batch.leaves) + g for child in group)
            assert is_file or is_directory
            seen_directories += is_directory
        assert all(0 <= leaf < len(batch.leaves) for leaf in batch.positives)
        seen_parents += sum(slot >= len(batch.leaves) for slot in batch.slots)
    assert seen_parents > seen_directories > 0


def test_directories_are_fused_from_their_files(
    config: AdapterStage, samples: list[RepositorySamples], vocabulary: Vocabulary
) -> None:
    network = training(config).network.eval()
    groups = ((0, 1), (2,), (3, 4), (1, 2))  # two files, the directory over them, and another file behind it
    batch = batcher(config, samples, vocabulary, **ONLY_PSEUDO).batch(0, 0.9, None)
    batch = dataclasses.replace(
        batch, leaves=batch.leaves[:3], groups=groups, slots=(3, 4, 5, 6), noise=(False,) * 4
    )
    leaves = network.fuser.encode_chunks(batch.leaves).memory
    files = [network.fuser.fuse([leaves[list(group)]]) for group in ((0, 1), (2,), (1, 2))]
    directory = network.fuser.fuse([torch.cat([files[0].memory, files[1].memory])])
    expected = torch.cat([part.key for part in (*files[:2], directory, files[2])])
    _, keys, memory, _ = network.pseudo_tokens(batch)
    torch.testing.assert_close(keys, expected)
    torch.testing.assert_close(memory[2], directory.memory[0])


def _with_blocks_and_without(
    found: RepositorySamples, vocabulary: Vocabulary, order: FimOrder
) -> tuple[ContextRow, ContextRow]:
    rows = RowBuilder(vocabulary, order, dataclasses.replace(SHAPE, blocks=300), m=2)
    sample = found.samples[0]
    return rows.blocks(sample, [found.passages[i] for i in sample.hits]), rows.none(sample)


def test_blocks_come_on_top_of_the_row_without_context(
    samples: list[RepositorySamples], vocabulary: Vocabulary
) -> None:
    row, bare = _with_blocks_and_without(samples[0], vocabulary, "spm")
    front = 1 + sum(row.sizes)
    assert len(row.sizes) > 1
    assert front <= 300
    assert max(row.sizes) <= SPAN
    assert row.ids[0] == vocabulary.fim.end
    assert row.ids[front:] == bare.ids
    assert row.ids[row.middle :] == bare.ids[bare.middle :]
    starts = np.cumsum([1, *row.sizes]).tolist()
    assert [i for i, weight in enumerate(row.weights) if weight == 0] == [0, *starts]
    assert row.weights[front + 1 :] == bare.weights[1:]
    assert row.middle - front - row.n_early == LATE_TOKENS  # as serving begins a place


def test_left_to_right_the_sink_is_the_beginning_that_a_row_has(
    samples: list[RepositorySamples], vocabulary: Vocabulary
) -> None:
    row, bare = _with_blocks_and_without(samples[0], vocabulary, "ltr")
    assert row.ids[0] == bare.ids[0] == vocabulary.fim.end
    assert row.ids[1 + sum(row.sizes) :] == bare.ids[1:]
    assert row.ids[row.middle :] == bare.ids[bare.middle :]


def test_rows_with_blocks_and_without_share_a_batch(
    config: AdapterStage, samples: list[RepositorySamples], vocabulary: Vocabulary
) -> None:
    """A row without blocks reads in a batch with some as it does alone; blocks change what follows them."""
    only = dict.fromkeys(("snippets", "pseudo", "hybrid", "recite"), 0.0)
    mixed = batcher(config, samples, vocabulary, **only, none=0.5, blocks=0.5)
    bare = batcher(config, samples, vocabulary, **only, none=1.0)
    network = training(config).network.eval()
    seen = set()
    for number in range(3):
        batch, without = mixed.batch(number, 0.9, None), bare.batch(number, 0.9, None)
        assert batch.blocks is not None
        assert without.blocks is None
        losses = [
            middle_losses(network.token_scores(network.rows(b, None), b), b.middles) for b in (batch, without)
        ]
        for mode, mine, alone in zip(batch.modes, *(each.tolist() for each in losses), strict=True):
            assert (mine == pytest.approx(alone, abs=1e-4)) == (mode == "none")
            seen.add(mode)
    assert seen == {"none", "blocks"}


def test_prompts_are_as_short_as_the_shape_allows(
    config: AdapterStage, samples: list[RepositorySamples], vocabulary: Vocabulary
) -> None:
    rows = RowBuilder(vocabulary, "spm", dataclasses.replace(SHAPE, shortest=0.5), config.m)
    batches = Batcher(
        samples, rows, ModeMix(none=1.0, snippets=0, pseudo=0, hybrid=0), config, 192, vocabulary
    )
    filled = [
        int((b.weights[i] > 0).sum())
        for b in (batches.batch(n, 0.9, None) for n in range(8))
        for i in range(4)
    ]
    assert min(filled) < 0.7 * 192 < max(filled) <= 192


def test_the_shortest_prompt_has_room_for_a_long_context(
    samples: list[RepositorySamples], vocabulary: Vocabulary
) -> None:
    rows = RowBuilder(vocabulary, "spm", dataclasses.replace(SHAPE, shortest=0.1), m=8)
    sample = samples[0].samples[0]
    hits = [samples[0].passages[i] for i in sample.hits]
    row = rows.hybrid(sample, 8, hits, share=0.1)
    assert row.ids.count(PSEUDO) == 64
    assert 64 + 32 < row.middle < len(row.ids) <= SHAPE.length


def test_a_context_is_cut_to_the_room_that_a_short_row_has(
    samples: list[RepositorySamples], vocabulary: Vocabulary
) -> None:
    shape = dataclasses.replace(SHAPE, length=130, snippets=384, hybrid_text=256)
    rows = RowBuilder(vocabulary, "spm", shape, m=2)
    sample = samples[0].samples[0]
    hits = [samples[0].passages[i] for i in sample.hits]
    for row in (rows.snippets(sample, hits), rows.hybrid(sample, 3, hits)):
        assert len(row.ids) <= 130
        assert len(row.ids) - row.middle > 0


def test_an_adapter_goes_on_from_a_finished_one(
    config: AdapterStage, samples: list[RepositorySamples], vocabulary: Vocabulary
) -> None:
    run = training(config)
    run.go(batcher(config, samples, vocabulary), Event())
    finished = dataclasses.replace(config, start=run.export())
    coder = load_coder(open_checkpoint(config.coder), True)
    for mine, theirs in zip(
        first_adapter(finished, coder), (run.network.fuser, run.network.projector), strict=True
    ):
        for name, value in theirs.state_dict().items():
            assert torch.equal(mine.state_dict()[name], value.bfloat16().float()), name
    learned = build_network(finished, open_checkpoint(config.coder)).trained()
    assert learned.keys() == run.network.trained().keys()
    with pytest.raises(ValueError, match="its fuser has m = 2, not 3"):
        first_adapter(dataclasses.replace(finished, m=3), coder)


def test_slots_take_the_projected_vectors_in_order(
    config: AdapterStage, samples: list[RepositorySamples], vocabulary: Vocabulary
) -> None:
    run = training(config)
    batch = batcher(config, samples, vocabulary, **ONLY_PSEUDO).batch(0, 0.9, None)
    _, _, _, projected = run.network.pseudo_tokens(batch)
    vectors = run.network.rows(batch, projected)
    holes = batch.ids[:, :-1] == PSEUDO
    assert torch.equal(vectors[holes], projected.flatten(0, 1))
    text = batch.ids[:, :-1][~holes]
    assert torch.equal(vectors[~holes], run.network.coder.embed(text))


def test_random_vectors_stand_in_for_a_share_of_the_rows(
    config: AdapterStage, samples: list[RepositorySamples], vocabulary: Vocabulary
) -> None:
    noisy = batcher(config, samples, vocabulary, **(ONLY_PSEUDO | {"noise": 1.0})).batch(0, 0.9, None)
    assert all(noisy.noise)
    run = training(config)
    one, other = (run.network.pseudo_tokens(noisy)[2] for _ in range(2))
    assert not torch.allclose(one, other)


def test_the_policy_term_joins_at_the_end_of_the_budget(
    config: AdapterStage, samples: list[RepositorySamples], vocabulary: Vocabulary
) -> None:
    run = training(dataclasses.replace(config, reinforce=0.1, reinforce_last=0.5))
    run.go(batcher(config, samples, vocabulary, recite=0.0), Event())
    assert ["policy" in line for line in read_journal(config.out / "journal.jsonl")] == [
        False,
        False,
        True,
        True,
    ]


def test_the_export_completes_in_every_mode(
    config: AdapterStage, samples: list[RepositorySamples], vocabulary: Vocabulary
) -> None:
    run = training(config)
    run.go(batcher(config, samples, vocabulary), Event())
    loaded = load_model(str(run.export()), device="cpu")
    assert loaded.notes == ()
    assert loaded.encoder is not None
    nodes = loaded.encoder.embed(["def lion_0(value):\n    return value\n", "class Bear:\n    pass\n"])
    assert mean_pairwise_cosine(torch.from_numpy(nodes.keys.astype(np.float32))) < 1.0
    for mode in ("none", "pseudo"):
        request = Request(
            "a.py", "def lion_1(value):\n    return", "\n", context=mode, max_tokens=4, deadline_ms=6e4
        )
        assert Completer(loaded).complete(request, lambda query: []).prompt_tokens > 0


@pytest.mark.parametrize(
    "changes",
    [{"fim_order": "psm"}, {"model_type": "llama", "control": ("<|endoftext|>",)}],
    ids=["Qwen2", "a Llama that writes from left to right"],
)
def test_an_adapter_for_a_foreign_checkpoint_fits_it(
    config: AdapterStage,
    samples: list[RepositorySamples],
    tmp_path: Path,
    changes: dict[str, Any],
) -> None:
    foreign = write_tiny_checkpoint(tmp_path / "foreign", adapter=False, seed=3, **changes)
    vocabulary = Vocabulary.load(foreign / "tokenizer.json")
    config = dataclasses.replace(config, coder=str(foreign), train_coder=False)
    run = training(config)
    measured, _ = run.step([batcher(config, samples, vocabulary, **ONLY_PSEUDO).batch(0, 0.5, None)])
    assert measured["norm"] > 0
    loaded = load_model(str(foreign), adapter=str(run.export()), device="cpu")
    assert loaded.pseudo is not None
    assert all("no fill-in-the-middle tokens" in note for note in loaded.notes)
    assert len(loaded.notes) == (not vocabulary.fim.fills)
