"""textDocument/completion: the same suggestion as one item of the completion menu."""

from __future__ import annotations

from collections.abc import Sequence

from lsprotocol import types

from lsp_server.offers import Offer
from lsp_server.presentation import Suggestion, inserted
from lsp_server.settings import SECTION
from lsp_server.snapshot import Snapshot, word_before

FIRST = " "  # sorts before whatever other servers send


def menu_item(
    suggestion: Suggestion,
    snapshot: Snapshot,
    accepted: types.Command,
    imports: Sequence[types.TextEdit] = (),
) -> types.CompletionItem:
    """One preselected item. It replaces the word before the cursor too, so that the client's filter keeps
    it. `imports`: what it needs further up in the document."""
    word = word_before(snapshot.line_before)
    first_line, _, more = (word + suggestion.text).partition("\n")
    text = word + inserted(suggestion, snapshot)
    return types.CompletionItem(
        label=first_line.strip() + (" …" if more else ""),
        kind=types.CompletionItemKind.Text,  # some clients read a Snippet as one, whatever its format says
        detail="hef-lsp",
        documentation=types.MarkupContent(types.MarkupKind.Markdown, f"```{snapshot.language}\n{text}\n```"),
        preselect=True,
        sort_text=FIRST,
        filter_text=first_line,
        insert_text_format=types.InsertTextFormat.PlainText,
        insert_text_mode=types.InsertTextMode.AsIs,
        text_edit=types.TextEdit(snapshot.range(suggestion.replace, len(word)), text),
        additional_text_edits=list(imports) or None,
        command=accepted,
    )


def acceptance(offer: Offer) -> types.Command:
    """What an item has the client say once it was taken."""
    return types.Command("Accepted", f"{SECTION}.accepted", arguments=[offer.number])
