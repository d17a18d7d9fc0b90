"""Recall in whole completions: it writes what the repository has where it is sure, and is nothing where it is off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer import LineIndex, SuffixIndex
from model.completer import Completer
from model.confidence import FEATURES as CONFIDENCE
from model.confidence import Confidence
from model.loaded import LoadedModel
from model.prompt import at_token_boundary
from model.recall.evidence import NOTHING, gate_features
from model.recall.mixer import recalling
from model.recall.ranking import FEATURES, Forest
from model.recall.weights import RecallWeights
from model.request import Completion, Request
from model.settings import DraftSettings, RecallSettings

# A repository in which the line stands between the lines that stand around the cursor.
OTHER = "def first(self):\n    os.add(second)\n    return self.first + second\nimport os\n"
PREFIX, SUFFIX = "class A:\n    def first(self):\n        os.add(second)\n", "\nimport os\n"
LINE = "        return self.first + second"

N_GATE = len(gate_features(NOTHING, NOTHING, np.ones(3) / 3, first=True))


def weights(sure: float = 0.5, *, chance: float = 0.999, coder: float = 50.0) -> RecallWeights:
    """Lines behind the same line have this chance; `coder`: how much its share outweighs the others, in logits."""
    values = np.array([[-9.0, np.log(chance / (1 - chance))]])
    behind_same = Forest(np.array([[FEATURES.index("same_before")]]), np.array([[0.5]]), values, 0.0)
    gate = np.zeros((3, N_GATE))
    gate[0, 0] = coder
    return RecallWeights(gate, behind_same, sure, sure)


def stores(model: LoadedModel, text: str = OTHER) -> tuple[LineIndex, SuffixIndex]:
    lines, tokens = LineIndex(), SuffixIndex()
    lines.update({"other.py": text})
    tokens.update({"other.py": np.array(model.vocabulary.encode(text), np.int32)})
    return lines, tokens


def complete(
    model: LoadedModel,
    recall: RecallWeights | None,
    prefix: str = PREFIX,
    *,
    drafts: bool = True,
    lines: int = 1,
) -> Completion:
    line_index, tokens = stores(model)
    model = replace(model, recall=recall)
    completer = Completer(
        model, mixing=recalling(model, RecallSettings()), drafts=DraftSettings(enabled=drafts)
    )
    request = Request(
        "here.py",
        prefix,
        SUFFIX,
        max_tokens=60,
        deadline_ms=float("inf"),
        finished=lambda text: text.count("\n") >= lines,
        lines=line_index,
        tokens=tokens,
    )
    return completer.complete(request, None)


def test_the_line_that_the_repository_has_is_written_exactly(tiny_model: LoadedModel) -> None:
    assert not complete(tiny_model, None).text.startswith(LINE)
    assert complete(tiny_model, weights()).text == f"{LINE}\n"


@pytest.mark.parametrize("drafts", [True, False])
def test_a_line_that_is_likelier_than_not_takes_no_pass(tiny_model: LoadedModel, drafts: bool) -> None:
    assert complete(tiny_model, weights(), drafts=drafts).forward_passes == 0


def test_a_less_likely_line_takes_the_pass_that_asks_the_coder(tiny_model: LoadedModel) -> None:
    unsure = weights(0.3, chance=0.4)

    assert complete(tiny_model, unsure, drafts=False).text == f"{LINE}\n"
    assert complete(tiny_model, unsure, drafts=False).forward_passes == 1


def test_a_line_s_end_that_is_written_again_begins_no_other_line(joining_model: LoadedModel) -> None:
    unsure = weights(0.3, chance=0.4)
    answer = complete(joining_model, unsure, drafts=False)

    assert at_token_boundary(joining_model.vocabulary, PREFIX)[1] == "\n"
    assert (answer.text, answer.forward_passes) == (f"{LINE}\n", 1)


@pytest.mark.parametrize("drafts", [True, False])
@pytest.mark.parametrize("lines", [1, 2, 4])
def test_behind_a_planned_line_is_written_what_is_behind_a_typed_one(
    joining_model: LoadedModel, drafts: bool, lines: int
) -> None:
    """Where a line's end and the next indentation are one token, the coder never saw them as two."""
    whole = complete(joining_model, weights(), drafts=drafts, lines=lines).text
    rest = complete(joining_model, weights(), f"{PREFIX}{LINE}\n", drafts=drafts, lines=lines - 1).text

    assert whole.startswith(f"{LINE}\n")
    assert whole == f"{LINE}\n{rest}" or lines == 1


def test_it_is_weighed_with_the_line_that_it_begins(joining_model: LoadedModel) -> None:
    model = replace(joining_model, confidence=Confidence(np.eye(len(CONFIDENCE))[1]))
    answer = complete(model, weights(chance=0.7))

    assert answer.confidence == pytest.approx((0.7, 1.0), abs=1e-3)


@pytest.mark.parametrize(
    "typed", ["    ", "        ", "        r", "        return self.", "        return self.first +"]
)
def test_what_is_already_typed_is_continued(tiny_model: LoadedModel, typed: str) -> None:
    assert typed + complete(tiny_model, weights(), PREFIX + typed).text.rstrip("\n") == LINE


def test_lines_are_written_one_after_the_other(tiny_model: LoadedModel) -> None:
    prefix = PREFIX.rpartition("    os")[0].rstrip(" ")

    assert complete(tiny_model, weights(), prefix, lines=2).text == f"        os.add(second)\n{LINE}\n"


def test_a_line_with_names_exchanged_leads_to_the_next_one_of_its_place(tiny_model: LoadedModel) -> None:
    """No other file has the first line that is written, so nothing else leads there."""
    other = "def train(data):\n    start(data)\n    train_set = load(data)\n    fit(train_set)\n"
    adapted = Forest(np.array([[FEATURES.index("adapted")]]), np.array([[0.5]]), np.array([[-9.0, 9.0]]), 0.0)
    model = replace(tiny_model, recall=replace(weights(), forest=adapted))
    request = Request(
        "here.py",
        "def test(data):\n    start(data)\n",
        "",
        max_tokens=60,
        deadline_ms=float("inf"),
        finished=lambda text: text.count("\n") >= 2,
        lines=stores(model, other)[0],
    )
    answer = Completer(model, mixing=recalling(model, RecallSettings())).complete(request, None)

    assert answer.text == "    test_set = load(data)\n    fit(test_set)\n"


@pytest.mark.parametrize("recall", [None, weights(sure=1.1)], ids=["no weights", "never sure"])
def test_without_memory_or_where_it_is_not_sure_the_coder_writes(
    tiny_model: LoadedModel, recall: RecallWeights | None
) -> None:
    assert complete(tiny_model, recall).text == complete(tiny_model, None).text


def test_switched_off_it_is_nothing(tiny_model: LoadedModel) -> None:
    model = replace(tiny_model, recall=weights())
    request = Request("here.py", PREFIX, SUFFIX, max_tokens=8, lines=stores(model)[0])
    off = Completer(model, mixing=recalling(model, RecallSettings(enabled=False)))

    assert off.complete(request, None).text == Completer(tiny_model).complete(request, None).text


@pytest.mark.parametrize("coder", [50.0, 0.0, -50.0])
@pytest.mark.parametrize(("sure", "chance"), [(0.5, 0.999), (0.3, 0.4), (1.1, 0.999)])
@pytest.mark.parametrize("prefix", [PREFIX, f"{PREFIX}        return self.f"])
def test_drafts_change_nothing(
    tiny_model: LoadedModel, coder: float, sure: float, chance: float, prefix: str
) -> None:
    recall = weights(sure, chance=chance, coder=coder)
    plain = complete(tiny_model, recall, prefix, drafts=False, lines=4)

    assert complete(tiny_model, recall, prefix, lines=4).text == plain.text
    assert complete(tiny_model, recall, prefix, drafts=False, lines=4).text == plain.text


@pytest.mark.parametrize("coder", [50.0, -50.0])
@pytest.mark.parametrize("sure", [0.5, 0.3])
def test_drafts_change_nothing_where_lines_are_joined(
    joining_model: LoadedModel, coder: float, sure: float
) -> None:
    recall = weights(sure, chance=2 * sure - 0.2, coder=coder)
    plain = complete(joining_model, recall, drafts=False, lines=4)

    assert complete(joining_model, recall, lines=4).text == plain.text


def test_code_behind_the_cursor_keeps_lines_out(tiny_model: LoadedModel) -> None:
    model = replace(tiny_model, recall=weights())
    completer = Completer(model, mixing=recalling(model, RecallSettings()))
    request = Request("here.py", PREFIX, "and_more()" + SUFFIX, max_tokens=8, lines=stores(model)[0])

    assert completer.complete(request, None).text == Completer(tiny_model).complete(request, None).text


def test_the_document_itself_is_not_looked_up_in_the_repository(tiny_model: LoadedModel) -> None:
    model = replace(tiny_model, recall=weights())
    completer = Completer(model, mixing=recalling(model, RecallSettings()))
    request = Request(
        "other.py", PREFIX, SUFFIX, max_tokens=40, lines=stores(model)[0], tokens=stores(model)[1]
    )

    assert LINE.strip() not in completer.complete(request, None).text


def test_a_coder_that_they_were_not_fitted_to_is_overruled_only_by_likely_lines() -> None:
    assert weights(0.04).for_another_coder().sure == 0.5
    assert weights(0.7).for_another_coder().sure_inside == 0.7


def test_weights_survive_their_file(tmp_path: Path) -> None:
    assert RecallWeights.beside(tmp_path) is None
    weights(0.25).save(tmp_path)
    loaded = RecallWeights.beside(tmp_path)

    assert loaded is not None
    assert (loaded.sure, loaded.gate.tolist()) == (0.25, weights().gate.tolist())
    table = np.eye(len(FEATURES))
    assert loaded.forest.predict(table) == pytest.approx(weights().forest.predict(table), abs=1e-4)
