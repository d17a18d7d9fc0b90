"""How sure an answer is: the same whichever way it came about, line by line, and unknown where nothing was fitted."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.checkpoint.files import WeightsError
from model.completer import Completer
from model.confidence import FEATURES, Confidence, WrittenLine, features, written_lines
from model.generator import Generator, StopLimits
from model.loaded import LoadedModel
from model.recall.mixer import recalling
from model.recall.weights import RecallWeights
from model.request import Completion, Request
from model.settings import DraftSettings, RecallSettings
from model.vocabulary import Vocabulary
from tests.model.recall.test_mixer import LINE, PREFIX, SUFFIX, stores, weights
from tests.model.test_generator import LONG, prompt_of


def confidence(**named: float) -> Confidence:
    return Confidence(np.array([named.get(name, 0.0) for name in FEATURES]))


# The recall's chance as it is, and the product of the tokens' chances: exp(sum) where that is small.
PLAIN = confidence(planned_chance=1.0, written_sum=1.0)


def test_a_language_may_be_less_sure_of_its_first_lines(tmp_path: Path) -> None:
    lines = [WrittenLine((-0.5,), None, True), WrittenLine((-0.5,), None, False)]
    Confidence(PLAIN.weights, {"javascript": -1.0}).save(tmp_path)
    told = Confidence.beside(tmp_path)
    assert told is not None
    plain, script = told.chances(lines, "go"), told.chances(lines, "javascript")
    assert plain == PLAIN.chances(lines)
    assert script[1] == plain[1]
    assert math.log(script[0] / (1 - script[0])) == pytest.approx(
        math.log(plain[0] / (1 - plain[0])) - 1, abs=1e-3
    )


@pytest.mark.parametrize("wrong", ['"a": "b"', '"a": 1e9', '"a": null'])
def test_a_languages_number_is_one(tmp_path: Path, wrong: str) -> None:
    PLAIN.save(tmp_path)
    text = (tmp_path / "confidence.json").read_text().rstrip("}\n")
    (tmp_path / "confidence.json").write_text(f'{text}, "languages": {{{wrong}}}}}')
    with pytest.raises(WeightsError):
        Confidence.beside(tmp_path)


def asked(
    model: LoadedModel,
    recall: RecallWeights | None,
    prefix: str = PREFIX,
    *,
    drafts: bool = True,
    lines: int = 3,
) -> tuple[Completer, Request]:
    line_index, tokens = stores(model)
    model = replace(model, recall=recall, confidence=PLAIN)
    completer = Completer(
        model, mixing=recalling(model, RecallSettings()), drafts=DraftSettings(enabled=drafts)
    )
    request = Request("here.py", prefix, SUFFIX, max_tokens=60, deadline_ms=float("inf"))
    finished = lambda text: text.count("\n") >= lines  # noqa: E731
    return completer, replace(request, finished=finished, lines=line_index, tokens=tokens)


def complete(
    model: LoadedModel,
    recall: RecallWeights | None,
    prefix: str = PREFIX,
    *,
    drafts: bool = True,
    lines: int = 3,
) -> Completion:
    completer, request = asked(model, recall, prefix, drafts=drafts, lines=lines)
    return completer.complete(request, None)


@pytest.mark.parametrize(
    "recall", [weights(), weights(0.3, chance=0.4), weights(1.1), weights(1.1, coder=0.0)]
)
@pytest.mark.parametrize("prefix", [PREFIX, f"{PREFIX}        return self.f"])
def test_drafts_and_a_warm_cache_change_nothing(
    tiny_model: LoadedModel, recall: RecallWeights, prefix: str
) -> None:
    plain = complete(tiny_model, recall, prefix, drafts=False)
    completer, request = asked(tiny_model, recall, prefix)
    answers = [
        completer.complete(request, None) for _ in range(2)
    ]  # the second has drafts of the first, and its cache

    assert len(plain.confidence) == plain.text.count("\n") + 1
    for answer in answers:
        assert answer.text == plain.text
        assert answer.confidence == pytest.approx(plain.confidence, abs=2e-4)


def test_a_planned_line_is_as_sure_as_recall(tiny_model: LoadedModel) -> None:
    for chance in (0.4, 0.9):
        done = complete(tiny_model, weights(0.3, chance=chance), lines=1)

        assert done.text == f"{LINE}\n"
        assert done.confidence[0] == pytest.approx(chance, abs=1e-3)


def test_without_a_fit_it_is_unknown(tiny_model: LoadedModel) -> None:
    completer, request = asked(tiny_model, weights())

    assert completer.complete(request, None).confidence != ()
    assert Completer(tiny_model).complete(request, None).confidence == ()
    assert complete(tiny_model, None).confidence == ()  # without the recall that the fit counts on


@pytest.mark.parametrize("begin", ["", " "])
def test_chances_are_those_of_the_choices_among_what_could_be_chosen(
    tiny_model: LoadedModel, begin: str
) -> None:
    prompt = prompt_of(tiny_model, LONG)
    generator = Generator(tiny_model.decoder, tiny_model.vocabulary, frozenset(), weighs=True)
    done = generator.generate(prompt, StopLimits(8, begin=begin))
    tiny_model.decoder.rewind(0)
    logits = tiny_model.decoder.extend(
        tiny_model.decoder.embed([*prompt.ids, *done.token_ids[:-1]]), all_rows=True
    )[-8:].astype(np.float64)
    logits[:, tiny_model.vocabulary.never(logits.shape[1])] = -np.inf
    if begin:
        logits[0, tiny_model.vocabulary.not_beginning(begin, logits.shape[1])] = -np.inf
    expected = [
        row[token] - np.log(np.exp(row).sum()) for row, token in zip(logits, done.token_ids, strict=True)
    ]

    assert done.log_chances == pytest.approx(expected, abs=1e-4)


def lines_of(
    vocabulary: Vocabulary, text: str, *, ended: bool = False
) -> tuple[list[int], list[WrittenLine]]:
    ids = vocabulary.encode(text)
    log_chances = [-float(n + 1) for n in range(len(ids) + ended)]
    return ids, list(written_lines(vocabulary, "", ids, log_chances, lambda n: None))


@pytest.mark.parametrize("text", ["", "a", "a\n", "a = b\n\n\n    c = d\n", "\n    return é\n", "x\n" * 5])
@pytest.mark.parametrize("ended", [False, True])
def test_there_is_one_line_for_each_of_the_text_and_each_choice_is_in_one(
    vocabulary: Vocabulary, text: str, ended: bool
) -> None:
    ids, lines = lines_of(vocabulary, text, ended=ended)
    choices = [chance for line in lines for chance in line.log_chances]

    assert len(lines) == len(text.split("\n"))
    assert choices == [-float(n + 1) for n in range(len(ids) + ended)]
    assert [line.first for line in lines] == [True] + [False] * (len(lines) - 1)


def test_a_line_s_end_that_the_text_leaves_out_begins_the_first_line(joining_model: LoadedModel) -> None:
    ids = joining_model.vocabulary.encode("\n    return x\n")
    lines = list(
        written_lines(joining_model.vocabulary, "\n", ids, [-1.0] * len(ids), lambda n: 0.5 * (n == 0))
    )

    assert [(line.first, line.planned, len(line.log_chances)) for line in lines] == [
        (True, 0.5, len(ids)),
        (False, None, 0),
    ]


def test_the_end_of_a_line_belongs_to_it(vocabulary: Vocabulary) -> None:
    _, (first, second) = lines_of(vocabulary, "a = b\nc")

    assert len(first.log_chances) == len(vocabulary.encode("a = b\n"))
    assert second.log_chances


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (WrittenLine((-2.0, -1.0), None, True), WrittenLine((-0.2, -0.1), None, True)),
        (WrittenLine((0.0,), 0.2, True), WrittenLine((0.0,), 0.8, True)),
    ],
)
def test_likelier_tokens_and_surer_lines_are_surer(less: WrittenLine, more: WrittenLine) -> None:
    low, high = PLAIN.chances([less, more])

    assert 0 < low < high < 1


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_a_chance_at_its_end_is_a_number(chance: float) -> None:
    assert all(math.isfinite(value) for value in features(WrittenLine((), chance, False)))


def test_a_line_that_took_no_token_goes_with_the_others() -> None:
    lines = [WrittenLine((-1.0,), None, True), WrittenLine((), None, False)]
    first, second = confidence(written=-3.0).chances(lines)

    assert first < second == 1.0


def test_weights_survive_their_file(tmp_path: Path) -> None:
    assert Confidence.beside(tmp_path) is None
    PLAIN.save(tmp_path)
    loaded = Confidence.beside(tmp_path)

    assert loaded is not None
    assert loaded.weights.tolist() == PLAIN.weights.tolist()
