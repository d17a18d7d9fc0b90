"""Positions in every encoding, line ends, and what a snapshot sees."""

from __future__ import annotations

import pytest
from lsprotocol.types import Position, Range, SelectedCompletionInfo

from lsp_server.indent_step import indent_of
from lsp_server.snapshot import Buffer, offset_at, take, units

EMOJI = "a = '😀é漢' + b\r\nsecond\rthird\n\x0cfourth"


def buffer(text: str) -> Buffer:
    return Buffer("untitled:one", 1, None, "python", text)


@pytest.mark.parametrize(
    ("encoding", "character"), [("utf-8", len("a = '😀é漢'".encode())), ("utf-16", 10), ("utf-32", 9)]
)
def test_offsets_agree_in_every_encoding(encoding: str, character: int) -> None:
    offset = offset_at(EMOJI, Position(0, character), encoding)

    assert EMOJI[:offset] == "a = '😀é漢'"
    assert units("a = '😀é漢'", encoding) == character


@pytest.mark.parametrize(
    ("line", "character", "before"),
    [
        (0, 999, "a = '😀é漢' + b"),  # beyond the line: its end, never into the line end
        (1, 2, "a = '😀é漢' + b\r\nse"),
        (2, 0, "a = '😀é漢' + b\r\nsecond\r"),
        (3, 1, "a = '😀é漢' + b\r\nsecond\rthird\n\x0c"),  # a form feed ends no line
        (3, 99, EMOJI),
        (99, 0, EMOJI),
    ],
)
def test_a_position_is_clamped_to_its_line_and_to_the_text(line: int, character: int, before: str) -> None:
    assert EMOJI[: offset_at(EMOJI, Position(line, character), "utf-16")] == before


def test_a_position_inside_a_surrogate_pair_counts_as_before_it() -> None:
    assert offset_at("😀x", Position(0, 1), "utf-16") == 0


def test_prefix_and_suffix_have_unix_line_ends_and_the_documents_are_remembered() -> None:
    snapshot = take(buffer("one\r\ntwo three\r\nfour"), Position(1, 4))

    assert (snapshot.prefix, snapshot.suffix) == ("one\ntwo ", "three\nfour")
    assert (snapshot.line_before, snapshot.line_after, snapshot.line_ending) == ("two ", "three", "\r\n")


def test_the_range_overwrites_characters_in_the_clients_units() -> None:
    snapshot = take(buffer("print('😀')"), Position(0, 9))  # behind the emoji, in UTF-16

    assert snapshot.range(2) == Range(Position(0, 9), Position(0, 11))
    assert take(buffer("print('😀')"), Position(0, 11), "utf-8").range(2) == Range(
        Position(0, 11), Position(0, 13)
    )


def test_a_selected_menu_item_counts_as_accepted() -> None:
    selected = SelectedCompletionInfo(Range(Position(1, 3), Position(1, 5)), "append")
    snapshot = take(buffer("xs = []\nxs.ap\n"), Position(1, 5), selected=selected)

    assert (snapshot.prefix, snapshot.suffix) == ("xs = []\nxs.append", "\n")
    assert snapshot.range(0) == Range(Position(1, 3), Position(1, 5))


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("def f():\n    a\n    b\n", "    "),
        ("if a:\n  b\n  if c:\n    d\n", "  "),
        ("func f() {\n\treturn\n}\n", "\t"),
        ("a\nb\n", "    "),
        ("", "    "),
    ],
)
def test_the_step_of_indentation_is_read_from_the_document(text: str, step: str) -> None:
    assert indent_of(text, "") == step
