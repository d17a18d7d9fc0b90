"""The stage that weighs recall against a coder: trees that learn, and a file that the coder is loaded with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.loaded import LoadedModel
from model.loading import load_model
from model.recall.ranking import FEATURES
from model.recall.weights import FILE, RecallWeights
from model.training.boosting import BoostingConfig, fit_forest
from model.training.config import ConfigError
from model.training.cursors import UnseenRepository
from model.training.fim import Cut
from model.training.recall import Outcome, RecallConfig, run
from model.training.recall_samples import Collector, RecallSample, load_samples
from tests.model.recall.test_mixer import weights
from tests.tiny_checkpoint import write_tiny_checkpoint


def test_a_forest_learns_what_no_single_feature_says() -> None:
    rng = np.random.default_rng(0)
    table = rng.random((600, 4))
    right = ((table[:, 0] > 0.5) ^ (table[:, 2] > 0.3)).astype(float)
    chances = fit_forest(table[:400], right[:400], BoostingConfig(trees=60)).predict(table[400:])

    assert ((chances > 0.5) == right[400:]).mean() > 0.95


def test_a_forest_without_anything_to_learn_says_how_frequent_right_is() -> None:
    right = np.repeat([1.0, 0.0, 0.0, 0.0], 50)

    assert fit_forest(np.zeros((200, 2)), right).predict(np.zeros((1, 2))) == pytest.approx([0.25], abs=0.01)


def test_the_bound_is_where_lines_begin_to_be_better_than_the_mixture() -> None:
    chance = np.array([0.1, 0.3, 0.6, 0.9])
    outcome = Outcome(np.zeros(4), np.array([1, 1, 0, 0]), np.array([0, 0, 1, 1]), chance)

    assert 0.3 < outcome.bound(np.ones(4, bool)) <= 0.6
    assert outcome.with_recall(outcome.bound(np.ones(4, bool))).all()


def test_of_bounds_that_are_as_good_the_highest_leaves_most_to_the_coder() -> None:
    outcome = Outcome(np.zeros(2), np.array([0, 1]), np.array([1, 0]), np.array([0.9, 0.2]))

    assert outcome.bound(np.ones(2, bool)) == pytest.approx(0.9)


def test_a_bound_is_measured_where_it_was_not_chosen() -> None:
    chance, inside = np.array([0.3, 0.3, 0.3, 0.3]), np.zeros(4, bool)
    outcome = Outcome(np.zeros(4), np.array([1, 1, 0, 0]), np.array([0, 0, 1, 1]), chance)
    low, high = outcome.bounds(inside, np.array([0, 0, 1, 1]))[[0, 2]]

    assert low <= 0.3 < high


@pytest.fixture
def config(tmp_path: Path) -> RecallConfig:
    for name in ("one", "two", "three"):
        folder = tmp_path / "repositories" / name
        folder.mkdir(parents=True)
        (folder / "a.py").write_text("def add(self, first):\n    return self.first + first\n" * 8)
        (folder / "b.py").write_text(f"import os\nclass {name.title()}:\n    {name} = 1\n" * 8)
    coder = write_tiny_checkpoint(tmp_path / "coder")
    return RecallConfig(
        tmp_path / "repositories", tmp_path / "samples", tmp_path / "out", str(coder), per_repository=6
    )


def test_the_stage_writes_weights_and_says_what_they_are_worth(
    config: RecallConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    run(config)

    assert RecallWeights.beside(config.out) is not None
    assert "| start of a line |" in capsys.readouterr().out


def test_weights_beside_a_coder_are_in_its_checksums(config: RecallConfig) -> None:
    run(replace(config, out=Path(config.coder)))

    assert load_model(config.coder, device="cpu").recall is not None


def test_cursors_at_which_the_coder_is_not_asked_have_no_steps(config: RecallConfig) -> None:
    run(replace(config, unasked_per_repository=4))
    samples = load_samples("one", config.samples / "one.npz")

    assert all(sample.steps for sample in samples[:6])
    assert len(samples) >= 10  # of a block each line
    assert not any(sample.steps for sample in samples[6:])


def test_of_a_block_each_line_is_asked_for_where_the_one_before_was_taken(
    config: RecallConfig, tmp_path: Path
) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("def load(path):\n    one(path)\n    two(path)\n\n    three(path)\n")
    model = load_model(config.coder, device="cpu")
    cut = Cut("def load(path):\n", "    one(path)\n    two(path)\n\n    three(path)", "\n", "block")
    collector = Collector(UnseenRepository.read(tmp_path, model.vocabulary), model)
    samples = list(collector.unasked("a.py", cut))
    taken = [sample.table[sample.right, FEATURES.index("in_a_row")].tolist() for sample in samples]

    assert taken == [[0], [1], [2]]


def test_of_what_the_coder_may_have_seen_only_the_ranker_learns(config: RecallConfig, tmp_path: Path) -> None:
    seen = tmp_path / "seen" / "four"
    seen.mkdir(parents=True)
    (seen / "a.py").write_text("def add(self, other):\n    return self.other + other\n" * 8)
    run(replace(config, ranked=seen.parent, ranked_per_repository=5))
    samples = load_samples("four", config.samples / "ranked" / "four.npz")

    assert len(samples) >= 5
    assert not any(sample.steps for sample in samples)
    assert any(len(sample.table) for sample in samples)


def test_another_coder_s_numbers_are_measured_beside(
    config: RecallConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights().save(tmp_path)
    run(replace(config, others=tmp_path))

    assert "another coder's numbers" in capsys.readouterr().out


def test_trees_of_another_coder_can_be_taken_and_are_not_fitted(config: RecallConfig, tmp_path: Path) -> None:
    weights().save(tmp_path)
    run(replace(config, trees=tmp_path))
    found, before = RecallWeights.beside(config.out), RecallWeights.beside(tmp_path)

    assert found is not None
    assert before is not None
    assert found.forest.json() == before.forest.json()
    assert not np.array_equal(found.gate, before.gate)
    with pytest.raises(ConfigError, match="there is no recall"):
        run(replace(config, trees=tmp_path / "absent"))


def sampled(config: RecallConfig, model: LoadedModel, prefix: str, suffix: str = "\n") -> RecallSample:
    repository = UnseenRepository.read(config.repositories / "one", model.vocabulary)
    cut = Cut(prefix, "    return self.first + first", suffix, "line")
    return Collector(repository, model).sample("c.py", cut)


def test_the_start_of_a_line_is_one_where_the_line_s_end_is_written_again(
    config: RecallConfig, joining_model: LoadedModel
) -> None:
    assert not sampled(config, joining_model, "def add(self):\n").inside
    assert sampled(config, joining_model, "def add(self):\n(").inside


def test_a_first_token_is_compared_with_those_that_can_be_it(
    config: RecallConfig, joining_model: LoadedModel
) -> None:
    first, second = sampled(config, joining_model, "def add(self):\n").steps[:2]
    others = joining_model.vocabulary.not_beginning("\n", joining_model.decoder.vocab_size)

    assert len(first.chances) <= (~others).sum() < len(second.chances)


def test_the_text_below_is_read_as_it_is_in_an_editor(config: RecallConfig, tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(
        tmp_path / "ltr", adapter=False, control=("<|endoftext|>",), max_position_embeddings=1024
    )
    model = load_model(str(folder), device="cpu", embedded=tmp_path / "absent")
    one, other = (sampled(config, model, "import os\n", f"\n{below}\n").steps for below in ("a = 1", "b()"))

    assert one[1].chances[:, 0] != pytest.approx(other[1].chances[:, 0])


def test_what_was_collected_is_not_collected_again(config: RecallConfig) -> None:
    run(config)
    first = (config.out / FILE).read_text()
    (config.out / FILE).unlink()
    run(replace(config, coder="no such coder"))

    assert (config.out / FILE).read_text() == first
