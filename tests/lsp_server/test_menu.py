"""The completion menu's item."""

from __future__ import annotations

import pytest
from lsprotocol.types import Command, CompletionItemKind, InsertTextMode, Position, Range, TextEdit

from lsp_server.menu import menu_item
from lsp_server.presentation import Suggestion
from lsp_server.snapshot import Buffer, take

ACCEPTED = Command("Accepted", "hef-lsp.accepted", arguments=[1])


def test_the_item_replaces_the_word_before_the_cursor_so_that_filters_keep_it() -> None:
    snapshot = take(Buffer("untitled:a", 1, None, "python", "x = 'é'; val()"), Position(0, 12))
    item = menu_item(Suggestion("ue(1,\n  2)", replace=2), snapshot, ACCEPTED)

    assert item.text_edit == TextEdit(Range(Position(0, 9), Position(0, 14)), "value(1,\n  2)")
    assert (item.label, item.filter_text, item.preselect) == ("value(1, …", "value(1,", True)
    assert (item.kind, item.insert_text_mode) == (CompletionItemKind.Text, InsertTextMode.AsIs)
    assert item.command == ACCEPTED
    assert item.additional_text_edits is None


@pytest.mark.parametrize(("encoding", "end"), [("utf-8", 5), ("utf-16", 4), ("utf-32", 4)])
def test_a_word_of_wide_characters_is_replaced_whole(encoding: str, end: int) -> None:
    snapshot = take(Buffer("untitled:a", 1, None, "python", "naïv\r\n"), Position(0, end), encoding)
    item = menu_item(Suggestion("ely\nmore"), snapshot, ACCEPTED)

    assert item.text_edit == TextEdit(Range(Position(0, 0), Position(0, end)), "naïvely\r\nmore")
    assert item.filter_text == "naïvely"
