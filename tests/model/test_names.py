"""Names that an answer makes up make it unsure; those that stand anywhere do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from indexer import SuffixIndex
from model.completer import Completer
from model.confidence import FEATURES, Confidence
from model.loaded import LoadedModel
from model.names import LESS_SURE, completed_name, stands_somewhere
from model.recall.mixer import recalling
from model.request import Request
from model.settings import RecallSettings
from tests.model.recall.test_mixer import weights

BEGUN = ("ab", "thr", "q", "zeta", "_k", "abc(", "x.")
CODE = "class Vector:\n    def normalize(self, other):\n        return other.threshold(self)\n"


@pytest.mark.parametrize(
    ("language", "name", "known"),
    [
        ("typescriptreact", "instanceof", True),
        ("javascriptreact", "stringify", True),
        ("typescriptreact", "isinstance", False),
        ("python", "isinstance", True),
        ("python", "instanceof", False),
        ("go", "fallthrough", True),
        ("rust", "macro_rules", True),
        ("java", "strictfp", True),
        ("cpp", "constexpr", True),
        ("cpp", "strictfp", False),
    ],
)
def test_a_language_has_its_own_names(language: str, name: str, known: bool, tiny_model: LoadedModel) -> None:
    request = Request("a", "", "", language=language)
    assert stands_somewhere(name, request, tiny_model.vocabulary) == known


@pytest.mark.parametrize(
    ("prefix", "text", "name"),
    [
        ("x = ori", "thm(a)", "orithm"),
        ("x = self._na", "me", "_name"),
        ("x = ", "name", ""),
        ("x = name", "(a)", ""),
        ("x = 12", "ab", ""),
        ("x = a.", "b", ""),
        ("", "", ""),
        ("größ", "e", "größe"),
    ],
)
def test_the_name_is_what_was_begun_and_what_goes_on(prefix: str, text: str, name: str) -> None:
    assert completed_name(prefix, text) == name


def stored(model: LoadedModel) -> SuffixIndex:
    tokens = SuffixIndex()
    tokens.update({"a.py": np.array(model.vocabulary.encode(CODE), np.int32)})
    return tokens


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("threshold", True),
        ("normalize", True),
        ("Vector", True),
        ("other", True),
        ("print", True),
        ("while", True),
        ("here", True),
        ("below", True),
        ("thresholds_of", False),
        ("orithm", False),
    ],
)
@pytest.mark.parametrize("where", ["tokens", "packages"])
def test_a_name_is_known_where_it_stands(tiny_model: LoadedModel, name: str, known: bool, where: str) -> None:
    request = Request("b.py", "here = 1\nx = th", "\nbelow(2)\n")
    request = replace(request, tokens=stored(tiny_model) if where == "tokens" else None)
    request = replace(request, packages=stored(tiny_model) if where == "packages" else None)

    assert stands_somewhere(name, request, tiny_model.vocabulary) == known


def test_a_made_up_name_makes_its_line_unsure(tiny_model: LoadedModel) -> None:
    sure = Confidence(np.array([4.0 * (name == "written") for name in FEATURES]))
    model = replace(tiny_model, recall=weights(sure=2.0), confidence=sure)
    completer = Completer(model, mixing=recalling(model, RecallSettings()))
    asked = [Request("b.py", f"x = {begun}", "", max_tokens=8, deadline_ms=float("inf")) for begun in BEGUN]
    answers = [(request.prefix, completer.complete(request, None)) for request in asked]
    names = [completed_name(prefix, done.text) for prefix, done in answers]

    assert any(names)  # those that the random weights go on with
    assert not all(names)
    for name, (_, done) in zip(names, answers, strict=True):
        expected = LESS_SURE if name else 1.0
        assert done.confidence[0] == pytest.approx(expected / (1 + np.exp(-4.0)), abs=1e-3)
