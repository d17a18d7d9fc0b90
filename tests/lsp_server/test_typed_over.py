"""What was shown and typed over does not come back at once; what was taken, or is being typed, is no refusal."""

from __future__ import annotations

import pytest

from lsp_server.offers import Offer
from lsp_server.presentation import Suggestion
from lsp_server.snapshot import Snapshot
from lsp_server.typed_over import SECONDS, TypedOver
from model.request import Completion
from tests.lsp_server.test_completion import at

ELSEWHERE = at("x = 1\n|\n")


def offer(before: Snapshot, text: str, number: int = 1) -> Offer:
    done = Completion(text, 1, 0, 0, 0, 0, 0, {}, (), "finished")
    return Offer(number, before.uri, before.prefix, before.suffix, Suggestion(text, 0), done)


def refused(shown: str, text: str, *later: str) -> frozenset[str]:
    """Lines that are not suggested on an empty line when the document came to stand so."""
    known = TypedOver()
    known.shown(offer(at(shown), text))
    for document in later:
        known.lines(at(document))
    return known.lines(ELSEWHERE)


@pytest.mark.parametrize(
    ("text", "later"),
    [
        ("import os", ["f|", "from|"]),
        ("import os", ["imp|", "impa|"]),
        ("import os\nimport re", ["import r|"]),
    ],
)
def test_a_line_that_was_typed_over_is_refused(text: str, later: list[str]) -> None:
    assert refused("|", text, *later) == {"import os"}


def test_what_stood_before_the_cursor_belongs_to_the_line() -> None:
    assert refused("    x = |", "first()", "    x = s|") == {"x = first()"}


@pytest.mark.parametrize(
    "later",
    [["i|"], ["import os|"], ["import os\n|"], ["import os\nx|"], ["import os, re|"], []],
)
def test_what_is_typed_or_taken_is_not(later: list[str]) -> None:
    assert refused("|", "import os", *later) == frozenset()


def test_who_begins_to_type_a_refused_line_may_mean_it() -> None:
    known = TypedOver()
    known.shown(offer(at("|"), "import os"))
    known.lines(at("f|"))

    assert known.lines(at("f\nim|")) == {"import os"}
    assert known.lines(at("f\nimp|")) == frozenset()


def test_a_line_comes_back_after_a_while() -> None:
    now = [0.0]
    known = TypedOver(lambda: now[0])
    known.shown(offer(at("|"), "import os"))
    known.lines(at("f|"))
    now[0] = SECONDS + 1

    assert known.lines(ELSEWHERE) == frozenset()
