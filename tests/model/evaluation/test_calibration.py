"""What is shown of each language, and how much of that is right."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from model.evaluation.calibration import calibrations, main, offsets
from tests.model.evaluation.answers import an_answer


def test_shown_and_right_are_counted_by_language(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = [
        an_answer(language="go", confidence=0.3, task_id="a"),
        an_answer(language="go", confidence=0.5, right=True, task_id="b"),
        an_answer(language="go", confidence=0.1, task_id="c"),
        an_answer(language="go", task_id="unknown"),
        an_answer("copy-match", language="go", task_id="d"),
        an_answer(language="java", confidence=0.2, right=True, task_id="e"),
    ]
    go, java = calibrations(answers)
    assert (go.language, go.mode, go.n) == ("go", "none", 3)
    assert go.chance == pytest.approx(30.0)
    assert go.shown[0.25] == pytest.approx((200 / 3, 50.0))
    assert go.shown[0.4] == pytest.approx((100 / 3, 100.0))
    assert java.shown[0.25] == (0.0, None)

    file = tmp_path / "p.jsonl"
    file.write_text("".join(one.line() + "\n" for one in answers))
    assert main([str(file)]) == 0
    assert "| go | none | 3 | 33.3 | 30.0 | 66.7; 50.0 | 33.3; 100.0 | 0.0; - |" in capsys.readouterr().out


def test_an_offset_makes_the_mean_chance_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sure = [an_answer(language="go", confidence=0.5, right=n < 20, task_id=str(n)) for n in range(100)]
    fair = [an_answer(language="c", confidence=0.2, right=n < 20, task_id=f"c{n}") for n in range(100)]
    found = offsets([*sure, *fair])
    assert 1 / (1 + math.exp(-found["go"])) == pytest.approx(0.2, abs=0.02)
    assert found["c"] == pytest.approx(0.0, abs=1e-6)

    file = tmp_path / "p.jsonl"
    file.write_text("".join(one.line() + "\n" for one in sure))
    assert main([str(file), "--offsets"]) == 0
    assert "go -1." in capsys.readouterr().out
    file.write_text("".join(an_answer(mode, confidence=0.5).line() + "\n" for mode in ("none", "hybrid")))
    assert main([str(file), "--offsets"]) == 2


def test_predictions_without_chances_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text(an_answer().line() + "\n")
    assert main([str(file)]) == 2
    assert "no answer" in capsys.readouterr().err
