"""textDocument/completion: the same suggestion as one item of the completion menu."""

from __future__ import annotations

import re

from lsprotocol import types

from lsp_server.presentation import Suggestion, inserted
from lsp_server.snapshot import Snapshot

WORD_END = re.compile(r"\w*$")


def menu_items(suggestion: Suggestion, snapshot: Snapshot) -> list[types.CompletionItem]:
    """One preselected item. It replaces the word before the cursor too, so that the client's filter keeps it."""
    match = WORD_END.search(snapshot.line_before)
    word = match.group() if match else ""
    text = word + inserted(suggestion, snapshot)
    first_line, _, more = text.partition("\n")
    place = snapshot.range(suggestion.replace)
    # A word has one unit per character in every encoding only while it is ASCII; else insert at the cursor.
    if word.isascii():
        place = types.Range(types.Position(place.start.line, place.start.character - len(word)), place.end)
    else:
        text = text[len(word) :]
    label = first_line.strip() + (" …" if more else "")
    return [
        types.CompletionItem(
            label=label,
            kind=types.CompletionItemKind.Snippet if more else types.CompletionItemKind.Text,
            detail="hef-lsp",
            documentation=types.MarkupContent(types.MarkupKind.Markdown, f"```{snapshot.language}\n{text}\n```"),
            preselect=True,
            sort_text="\0",
            filter_text=text.partition("\n")[0],
            insert_text_format=types.InsertTextFormat.PlainText,
            text_edit=types.TextEdit(place, text),
        )
    ]
