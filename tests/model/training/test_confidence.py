"""The stage that says how sure answers are: what it fits, what it collects, and the file that the coder gets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.checkpoint.opening import write_checksums
from model.confidence import FEATURES, FILE, Confidence, WrittenLine, features
from model.loading import load_model
from model.training.confidence import (
    Answer,
    Asker,
    ConfidenceConfig,
    fit,
    left_out,
    load_answers,
    report,
    run,
)
from model.training.config import ConfigError
from model.training.cursors import UnseenRepository
from tests.model.recall.test_mixer import weights
from tests.tiny_checkpoint import write_tiny_checkpoint


def planned(repository: str, chance: float, right: bool) -> Answer:
    table = np.array([features(WrittenLine((), chance, True))])
    return Answer(repository, table, np.array([right]), 1)


def half_as_sure(repository: str) -> list[Answer]:
    """Lines that are right half as often as recall thinks."""
    counts = [(0.8, 40), (0.4, 20), (0.2, 10)]
    return [planned(repository, chance, i < n_right) for chance, n_right in counts for i in range(100)]


def test_a_fit_corrects_what_is_too_sure() -> None:
    found = fit(half_as_sure("one"))

    assert found.chances([WrittenLine((-0.1,), 0.8, True)]) == pytest.approx([0.4], abs=0.05)


def test_no_line_is_surer_for_a_token_that_is_less_likely() -> None:
    lines = [((-3.0, -0.1), True), ((-1.6, -1.5), False)]  # as few answers can have it by chance
    tables = [
        (np.array([features(WrittenLine(logs, None, True))]), np.array([right])) for logs, right in lines
    ]
    found = fit([Answer("one", table, right, 1) for table, right in tables])

    assert dict(zip(FEATURES, found.weights, strict=True))["written_least"] == 0
    sure, unsure = found.chances([WrittenLine((-0.1,), None, True), WrittenLine((-5.0,), None, True)])
    assert unsure <= sure


def test_each_repository_is_judged_by_the_others() -> None:
    never = [planned("two", chance, False) for chance in (0.2, 0.8) for _ in range(50)]
    answers = [*half_as_sure("one"), *never]
    chances = left_out(answers)

    assert chances[0][0] < 0.1  # of "one", by a repository in which nothing is right
    assert chances[-1][0] == pytest.approx(0.4, abs=0.05)


def test_a_block_is_as_sure_as_its_lines_together() -> None:
    lines = [WrittenLine((), 0.5, True), WrittenLine((), 0.5, False)]
    block = Answer("one", np.array([features(line) for line in lines]), np.array([True, False]), 2)
    (chances, _) = left_out([block, *[planned("two", 0.5, bool(i % 2)) for i in range(100)]])[:2]

    assert len(chances) == 2
    assert chances[1] < chances[0]


def test_the_report_says_what_a_threshold_shows_and_what_it_loses() -> None:
    answers = [planned("one", 0.5, right) for right in (True, True, False, False)]
    rows = report(answers, [(0.9,), (0.2,), (0.2,), (0.1,)]).splitlines()

    assert "| 0.00 | 100.0 | 50.0 | 100.0 | 0.0 | 0.0 |" in rows
    assert "| 0.15 | 75.0 | 66.7 | 100.0 | 0.0 | 0.0 |" in rows
    assert "| 0.50 | 25.0 | 100.0 | 50.0 | 0.0 | 0.0 |" in rows


@pytest.fixture
def config(tmp_path: Path) -> ConfidenceConfig:
    for name in ("one", "two"):
        folder = tmp_path / "repositories" / name
        folder.mkdir(parents=True)
        (folder / "a.py").write_text("def add(self, first):\n    return self.first + first\n" * 8)
        (folder / "b.py").write_text(f"import os\nclass {name.title()}:\n    {name} = 1\n" * 8)
    coder = write_tiny_checkpoint(tmp_path / "coder")
    weights().save(coder)
    write_checksums(coder)
    paths = [tmp_path / name for name in ("repositories", "samples", "out")]
    return ConfidenceConfig(*paths, str(coder), per_repository=6)


def test_the_stage_writes_a_file_and_says_what_it_is_worth(
    config: ConfidenceConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    run(config)
    first = (config.out / FILE).read_text()

    assert "| confidence at least |" in capsys.readouterr().out
    (config.out / FILE).unlink()
    run(replace(config, coder="no such coder"))  # what was collected is not collected again
    assert (config.out / FILE).read_text() == first


def test_a_fit_keeps_what_was_found_for_other_languages(config: ConfidenceConfig) -> None:
    config.out.mkdir()
    Confidence(np.zeros(len(FEATURES)), {"javascript": -0.68}).save(config.out)
    run(config)
    found = Confidence.beside(config.out)

    assert found is not None
    assert found.languages == {"javascript": -0.68}
    assert found.weights.any()


def test_a_name_that_stands_nowhere_is_an_answer_like_any_other(
    config: ConfidenceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.completer.completed_name", lambda prefix, text: "zqj")
    run(config)

    assert any(len(answer.right) for answer in load_answers("one", config.samples / "one.npz"))


def test_a_coder_without_recall_is_refused(config: ConfidenceConfig, tmp_path: Path) -> None:
    bare = load_model(str(write_tiny_checkpoint(tmp_path / "bare")), embedded=tmp_path / "absent")
    repository = UnseenRepository.read(config.repositories / "one", bare.vocabulary)

    with pytest.raises(ConfigError, match="run stage recall first"):
        Asker(repository, bare)


def test_a_file_beside_a_coder_is_in_its_checksums_and_loaded_with_it(config: ConfidenceConfig) -> None:
    run(replace(config, out=Path(config.coder)))
    loaded = load_model(config.coder, device="cpu").confidence

    assert isinstance(loaded, Confidence)
    assert len(loaded.weights) == len(FEATURES)
