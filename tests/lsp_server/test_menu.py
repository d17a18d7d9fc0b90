"""The completion menu's item."""

from __future__ import annotations

from lsprotocol.types import CompletionItemKind, Position, Range

from lsp_server.menu import menu_items
from lsp_server.presentation import Suggestion
from lsp_server.snapshot import Buffer, take


def test_the_item_replaces_the_word_before_the_cursor_so_that_filters_keep_it() -> None:
    snapshot = take(Buffer("untitled:a", 1, None, "python", "x = 'é'; val()"), Position(0, 12))
    (item,) = menu_items(Suggestion("ue(1,\n  2)", replace=2), snapshot)

    assert item.text_edit is not None
    assert item.text_edit.new_text == "value(1,\n  2)"  # type: ignore[union-attr]
    assert item.text_edit.range == Range(Position(0, 9), Position(0, 14))  # type: ignore[union-attr]
    assert (item.label, item.filter_text, item.preselect) == ("value(1, …", "value(1,", True)
    assert item.kind == CompletionItemKind.Snippet


def test_a_word_of_wide_characters_is_left_alone() -> None:
    snapshot = take(Buffer("untitled:a", 1, None, "python", "naïv"), Position(0, 5), "utf-8")
    (item,) = menu_items(Suggestion("ely"), snapshot)

    assert item.text_edit is not None
    assert item.text_edit.new_text == "ely"  # type: ignore[union-attr]
    assert item.text_edit.range == Range(Position(0, 5), Position(0, 5))  # type: ignore[union-attr]
