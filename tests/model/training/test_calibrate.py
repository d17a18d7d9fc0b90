"""What Python's chances are worth in other languages: fitted from answers, and taken back before the next fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.confidence import FEATURES, OTHERS, Confidence
from model.training.calibrate import CalibrateConfig, fit, run
from model.training.config import ConfigError
from tests.model.evaluation.answers import an_answer

CHANCES = (0.2, 0.5, 0.8)
PLAIN = Confidence(np.zeros(len(FEATURES)))


def answers(language: str, chance: float, shares: tuple[float, ...], n: int = 400) -> list:
    """Answers of which another share is right than their chance says."""
    return [
        an_answer(language=language, confidence=said, right=i < share * n, task_id=f"{language} {said} {i}")
        for said, share in zip((chance, 0.5 * chance), shares, strict=True)
        for i in range(n)
    ]


def test_chances_become_what_was_right_in_each_language() -> None:
    found = fit(answers("go", 0.6, (0.3, 0.1)) + answers("java", 0.6, (0.8, 0.6)), PLAIN)
    fitted = Confidence(PLAIN.weights, found)
    for language, shares in {"go": (0.3, 0.1), "java": (0.8, 0.6)}.items():
        assert fitted.calibrated(np.array([0.6, 0.3]), language) == pytest.approx(shares, abs=0.03)
    others = fitted.calibrated(np.array([0.6, 0.3]), "ruby")
    assert others == pytest.approx((0.55, 0.35), abs=0.06)
    assert set(found) == {"go", "java", OTHERS}


def test_python_keeps_its_chances_and_jsx_is_typescript_s() -> None:
    fitted = Confidence(PLAIN.weights, {"typescript": (-1.0, 0.5), OTHERS: (-2.0, 1.0)})
    said = np.array(CHANCES)
    for language in ("python", ""):
        assert fitted.calibrated(said, language) is said
    alike = fitted.calibrated(said, "typescript")
    assert (alike < said).all()
    assert fitted.calibrated(said, "typescriptreact").tolist() == alike.tolist()
    assert PLAIN.calibrated(said, "go") is said


def test_a_chance_that_was_calibrated_before_is_taken_back() -> None:
    before = Confidence(PLAIN.weights, {"go": (-1.0, 0.5)})
    raw = answers("go", 0.6, (0.3, 0.1))
    said = [
        an_answer(
            language="go",
            confidence=float(before.calibrated(np.array([one.confidence]), "go")[0]),
            right=one.quality["em"] > 0,
        )
        for one in raw
    ]
    assert fit(said, before)["go"] == pytest.approx(fit(raw, PLAIN)["go"])


def test_the_numbers_go_into_the_coder_s_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    PLAIN.save(tmp_path)
    (tmp_path / "p.jsonl").write_text(
        "".join(one.line() + "\n" for one in answers("go", 0.6, (0.3, 0.1), 20))
    )
    run(CalibrateConfig((tmp_path / "p.jsonl",), tmp_path))
    written = Confidence.beside(tmp_path)
    assert written is not None
    assert set(written.languages) == {"go", OTHERS}
    assert "go: 40 answers" in capsys.readouterr().out


def test_nothing_to_calibrate_by_is_said(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text(an_answer(confidence=0.5).line() + "\n")
    with pytest.raises(ConfigError, match="no confidence"):
        run(CalibrateConfig((file,), tmp_path))
    PLAIN.save(tmp_path)
    with pytest.raises(ConfigError, match="no answer in another language"):
        run(CalibrateConfig((file,), tmp_path))
