"""Stage `confidence`: how sure a coder's answers are (`model.confidence`), by answers that are known right or wrong.

Cursors in repositories that the coder was not trained on are answered as in an editor, with recall and without
retrieved context; a line counts where those before it are right. The report is measured on repositories that were left
out of the fit, one after the other. Recall's own numbers may have been fitted to the same repositories, at other
cursors: run this stage behind `recall`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from operator import mul
from pathlib import Path

import numpy as np

from model.checkpoint.opening import CHECKSUMS, write_checksums
from model.confidence import FEATURES, Confidence, WrittenLine, features
from model.loaded import LoadedModel
from model.recall.mixer import recalling
from model.settings import EMBEDDED_TINY, RecallSettings
from model.training.config import ConfigError
from model.training.cursors import UnseenRepository, asked_completer, collect, nothing_found
from model.training.fim import Cut

_KINDS = {"rest": 0.4, "line": 0.3, "block": 0.3}
_INDENTED = 0.7  # share of the cursors at lines that stand behind the indentation, where an editor puts them
_MAX_TOKENS = 128
_NEWTON_STEPS, _RIDGE = 30, 1e-3
_NOT_NEGATIVE = np.isin(FEATURES, ("planned_chance", "written_sum", "written_least"))
_THRESHOLDS = tuple(n / 20 for n in range(15))


@dataclass(frozen=True)
class ConfidenceConfig:
    """Settings of the stage. `repositories`: a folder of folders; `coder`: as `model.name`; `samples`: what was
    answered in each repository lies here and is not asked again; `out`: a folder that gets `confidence.json`, in which
    what was found for other languages stays (`model.evaluation.calibration --offsets` finds it anew)."""

    repositories: Path
    samples: Path
    out: Path
    coder: str = EMBEDDED_TINY
    per_repository: int = 60
    seed: int = 2


@dataclass(frozen=True, eq=False)
class Answer:
    """The lines of an answer up to the first that is wrong: float [n, FEATURES], and whether each is right.

    `whole`: how many lines were asked for.
    """

    repository: str
    table: np.ndarray
    right: np.ndarray
    whole: int


def run(config: ConfidenceConfig) -> None:
    answers = _answers(config)
    config.out.mkdir(parents=True, exist_ok=True)
    before = Confidence.beside(config.out)
    replace(fit(answers), languages=before.languages if before else {}).save(config.out)
    if (config.out / CHECKSUMS).exists():
        write_checksums(config.out)
    print(report(answers, left_out(answers)))


def _answers(config: ConfidenceConfig) -> list[Answer]:
    def work_out(repository: UnseenRepository, model: LoadedModel, rng: random.Random) -> list[Answer]:
        asker = Asker(repository, model)
        answers = []
        for path, cut in repository.cursors(config.per_repository, _KINDS, rng):
            indented = cut.kind != "rest" and rng.random() < _INDENTED
            answers.append(asker.answer(path, _indented(cut) if indented else cut))
        return [answer for answer in answers if len(answer.right)]

    return collect(config, work_out, save_answers, load_answers)


def _indented(cut: Cut) -> Cut:
    code = cut.middle.lstrip(" \t")
    return replace(cut, prefix=cut.prefix + cut.middle[: len(cut.middle) - len(code)], middle=code)


@dataclass(frozen=True, eq=False)
class _Heard(Confidence):
    """Keeps the lines of the last answer instead of weighing them."""

    lines: list[WrittenLine] = field(default_factory=list)

    def chances(self, lines: Sequence[WrittenLine], language: str = "") -> tuple[float, ...]:
        self.lines[:] = lines
        return (1.0,) * len(lines)


class Asker:
    """Asks a coder in one repository. Raises ConfigError when it has no recall."""

    def __init__(self, repository: UnseenRepository, model: LoadedModel) -> None:
        if model.recall is None:
            raise ConfigError(
                f"{model.name} has no recall, which its confidence counts on: run stage recall first"
            )
        self._repository = repository
        self._heard = _Heard(np.zeros(len(FEATURES)))
        model = replace(model, confidence=self._heard)
        self._completer = asked_completer(model, recalling(model, RecallSettings()))

    def answer(self, path: str, cut: Cut) -> Answer:
        """What is written until a line is wrong or all are there. Nothing written, nothing shown: no lines."""
        wanted = cut.middle.split("\n")

        def finished(text: str) -> bool:
            done = text.split("\n")[:-1]
            pairs = enumerate(zip(done, wanted, strict=False))
            return len(done) >= len(wanted) or not all(_same(i, *pair) for i, pair in pairs)

        request = self._repository.request(path, cut)
        request = replace(request, max_tokens=_MAX_TOKENS, finished=finished)
        self._completer.prepare(request, nothing_found)
        written = self._completer.complete(request, nothing_found).text.split("\n")
        table, right = [], []
        for i, (line, text, want) in enumerate(zip(self._heard.lines, written, wanted, strict=False)):
            if text.strip():
                table.append(features(line))
                right.append(_same(i, text, want))
            if not _same(i, text, want):
                break
        whole = sum(bool(line.strip()) for line in wanted)
        return Answer(
            self._repository.name, np.array(table).reshape(-1, len(FEATURES)), np.array(right, bool), whole
        )


def _same(row: int, text: str, wanted: str) -> bool:
    """An editor's part is the indentation of the first line."""
    return text.strip() == wanted.strip() if row == 0 else text.rstrip() == wanted.rstrip()


def save_answers(answers: Sequence[Answer], file: Path) -> None:
    """One array per field, one behind the other, and how long each piece is."""
    np.savez_compressed(
        file,
        table=np.concatenate([answer.table for answer in answers]),
        right=np.concatenate([answer.right for answer in answers]),
        n_lines=np.array([len(answer.right) for answer in answers]),
        whole=np.array([answer.whole for answer in answers]),
    )


def load_answers(repository: str, file: Path) -> list[Answer]:
    with np.load(file) as raw:
        ends = np.cumsum(raw["n_lines"])[:-1]
        pieces = zip(
            np.split(raw["table"], ends), np.split(raw["right"], ends), raw["whole"].tolist(), strict=True
        )
        return [Answer(repository, *piece) for piece in pieces]


def fit(answers: Sequence[Answer]) -> Confidence:
    """Logistic regression in which no line is less sure for being likelier: what would weigh so by the chance of few
    answers is left out."""
    table = np.concatenate([answer.table for answer in answers])
    right = np.concatenate([answer.right for answer in answers])
    used = np.ones(len(FEATURES), bool)
    while True:
        weights = np.zeros(len(FEATURES))
        weights[used] = _regression(table[:, used], right)
        against = _NOT_NEGATIVE & (weights < 0)
        if not against.any():
            return Confidence(weights)
        used[np.where(against, weights, 0).argmin()] = False


def _regression(table: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Logistic, by Newton's method, with a little ridge."""
    weights, ridge = np.zeros(table.shape[1]), _RIDGE * len(table) * np.eye(table.shape[1])
    for _ in range(_NEWTON_STEPS):
        chances = 1.0 / (1.0 + np.exp(-table @ weights))
        slope = table.T @ (right - chances) - ridge @ weights
        weights += np.linalg.solve((table.T * (chances * (1 - chances))) @ table + ridge, slope)
    return weights


def left_out(answers: Sequence[Answer]) -> list[tuple[float, ...]]:
    """Of each answer's lines the chance to be right together with those before, by a fit to other repositories."""
    fitted = {
        name: fit([answer for answer in answers if answer.repository != name])
        for name in {answer.repository for answer in answers}
    }
    alone = [fitted[answer.repository].predict(answer.table).tolist() for answer in answers]
    return [tuple(accumulate(chances, mul)) for chances in alone]


def report(answers: Sequence[Answer], chances: Sequence[tuple[float, ...]]) -> str:
    """What is shown from each confidence on, in %; multi-line answers as far as they are as sure."""
    right = np.array([answer.right[0] for answer in answers])
    first = np.array([line[0] for line in chances])
    blocks = [(answer, line) for answer, line in zip(answers, chances, strict=True) if answer.whole > 1]
    rows = [
        "| confidence at least | shown | first line right | right first lines that are shown "
        "| blocks right to the end of what is shown | right lines of a block that are shown |",
        f"|{' --- |' * 6}",
    ]
    for least in _THRESHOLDS:
        shown = first >= least
        figures = (_share(shown), _share(right[shown]), _share(shown[right]), *_of_blocks(blocks, least))
        rows.append(f"| {least:.2f} | {' | '.join(f'{100 * figure:.1f}' for figure in figures)} |")
    names = {answer.repository for answer in answers}
    head = f"{len(names)} repositories, {len(answers)} suggestions, {len(blocks)} of them blocks"
    planned = np.array([answer.table[0, FEATURES.index("planned")] > 0 for answer in answers])
    kinds = (("planned", planned), ("written token by token", ~planned))
    of_kinds = [
        f"{chosen.sum()} first lines {name}, {100 * _share(right[chosen]):.1f} % right"
        for name, chosen in kinds
    ]
    return "\n".join([head, *of_kinds, "", *rows, "", calibration(right, first)])


def _of_blocks(blocks: Sequence[tuple[Answer, tuple[float, ...]]], least: float) -> tuple[float, float]:
    """Of the blocks of which something is shown the share that is right as far as that goes, and of all right lines
    at the beginning of a block the share that is shown."""
    n_right = np.array([answer.right.sum() for answer, _ in blocks])
    n_shown = np.array([sum(chance >= least for chance in line) for _, line in blocks])
    kept = np.minimum(n_right, n_shown).sum() / max(1, n_right.sum())
    return _share((n_shown <= n_right)[n_shown > 0]), float(kept)


def _share(chosen: np.ndarray) -> float:
    return float(chosen.mean()) if len(chosen) else 0.0


def calibration(right: np.ndarray, chance: np.ndarray) -> str:
    """How often first lines of about the same confidence are right."""
    rows = ["| confidence | n | mean | right |", "| --- | --- | --- | --- |"]
    for low in np.arange(0.0, 1.0, 0.1):
        chosen = (chance >= low) & (chance < low + 0.1)
        if chosen.any():
            rows.append(
                f"| {low:.1f} | {chosen.sum()} | {chance[chosen].mean():.2f} | {right[chosen].mean():.2f} |"
            )
    return "\n".join(rows)
