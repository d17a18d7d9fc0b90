"""Golden tables, a file for each language: what the model wrote at `$0`, and the document once that was accepted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from indexer import LANGUAGES, Above, Lexis, read_above
from lsp_server.presentation import Suggestion, inserted, present, stop_rule
from lsp_server.snapshot import Buffer, Snapshot, take
from tests.typist import position

FOLDER = Path(__file__).parent / "families"
BRACED = [language.name for language in LANGUAGES if language.family == "braces"]
MAX_LINES = 12
LEAST_ROWS = 12


@dataclass(frozen=True)
class Row:
    language: str
    name: str
    document: str
    written: str
    shown: str  # the whole document, or "nothing: " and why


def _rows() -> Iterator[Row]:
    for language in BRACED:
        text = (FOLDER / f"{language}.txt").read_text(encoding="utf-8")
        for part in text.split("#### ")[1:]:
            name, _, rest = part.partition("\n")
            document, _, rest = rest.partition("\n---- writes\n")
            written, _, shown = rest.partition("\n---- shows")
            yield Row(language, name, document, written, shown[1:].removesuffix("\n"))


ROWS = list(_rows())


def at(document: str, language: str) -> Snapshot:
    before, after = document.split("$0")
    return take(Buffer("file:///a", 1, None, language, before + after), position(before, len(before)))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.language}: {row.name}")
def test_what_is_shown(row: Row) -> None:
    before, after = row.document.split("$0")
    snapshot = at(row.document, row.language)
    shown = present(row.written, snapshot, stop_rule(snapshot, MAX_LINES))

    if isinstance(shown, Suggestion):
        assert before + inserted(shown, snapshot) + after[shown.replace :] == row.shown
    else:
        assert f"nothing: {shown}" == row.shown


@pytest.mark.parametrize("language", BRACED)
def test_each_language_has_a_table(language: str) -> None:
    assert len([row for row in ROWS if row.language == language]) >= LEAST_ROWS


def test_the_lines_above_a_cursor_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def noted(prefix: str, lexis: Lexis) -> Above:
        read.append(prefix)
        return read_above(prefix, lexis)

    for module in ("lsp_server.snapshot", "indexer.cursor_extent", "indexer.scanning"):
        monkeypatch.setattr(f"{module}.read_above", noted)
    snapshot = at("function f() {\n  $0\n}\n", "typescript")
    assert stop_rule(snapshot, 12).block
    assert [one.mark for one in snapshot.opened] == ["{"]
    assert len(read) == 1
