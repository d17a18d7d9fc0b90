"""Edits land where LSP says, whatever the text."""

from __future__ import annotations

import random

import pytest
from lsprotocol.types import Position, Range, TextDocumentContentChangePartial
from pygls.workspace import PositionCodec

from lsp_server.protocol import Document
from lsp_server.snapshot import offset_at, units

ALPHABET = ["a", "é", "漢", "😀", "\n", "\r\n", "\r", "\x0c", "\u2028", "\t"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_random_edits_give_the_text_that_the_client_has(encoding: str) -> None:
    choose = random.Random(7)
    text = "".join(choose.choices(ALPHABET, k=60))
    document = Document("untitled:a", text, position_codec=PositionCodec(encoding))
    for _ in range(200):
        first, last = sorted(choose.randrange(len(text) + 1) for _ in range(2))
        start, end = _position(text, first, encoding), _position(text, last, encoding)
        first, last = offset_at(text, start, encoding), offset_at(text, end, encoding)
        new = "".join(choose.choices(ALPHABET, k=choose.randrange(4)))
        document.apply_change(TextDocumentContentChangePartial(range=Range(start, end), text=new))
        text = text[:first] + new + text[last:]
        assert document.source == text


def _position(text: str, offset: int, encoding: str) -> Position:
    """Counted independently of the code under test."""
    line = column = index = 0
    while index < offset:
        if text[index] == "\r" and text[index + 1 : index + 2] == "\n":
            if index + 1 >= offset:
                break
            index += 1
        if text[index] in "\r\n":
            line, column = line + 1, 0
        else:
            column += units(text[index], encoding)
        index += 1
    return Position(line, column)
