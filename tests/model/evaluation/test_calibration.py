"""What is shown of each language, and how much of that is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.evaluation.calibration import calibrations, main
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


def test_predictions_without_chances_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text(an_answer().line() + "\n")
    assert main([str(file)]) == 2
    assert "no answer" in capsys.readouterr().err
