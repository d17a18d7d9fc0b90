"""Golden tables: `$0` marks the cursor; the expected text is the whole document after accepting the suggestion."""

from __future__ import annotations

import pytest
from lsprotocol.types import Position

from lsp_server.presentation import Flaw, StopRule, Suggestion, inserted, present
from lsp_server.snapshot import Buffer, Snapshot, take

LINE = StopRule(block=False)
BLOCK = StopRule(block=True, indent=4)


def at(document: str) -> Snapshot:
    before, after = document.split("$0")
    lines = before.replace("\r\n", "\n").split("\n")
    return take(
        Buffer("file:///a.py", 1, None, "python", before + after), Position(len(lines) - 1, len(lines[-1]))
    )


def accept(document: str, written: str, rule: StopRule = LINE, *, whole: bool = True) -> str | None:
    (before, after), snapshot = document.split("$0"), at(document)
    shown = present(written, snapshot, rule, whole=whole)
    if not isinstance(shown, Suggestion):
        return None
    return before + inserted(shown, snapshot) + after[shown.replace :]


CLOSERS = [
    ("print($0)", "a, b)", "print(a, b)"),
    ("print($0)", "a, b", "print(a, b)"),
    ("def f($0):", "a, b):", "def f(a, b):"),
    ("def f($0)", "a, b):", "def f(a, b):"),
    ("f(g($0))", "x)", "f(g(x))"),
    ("f(g($0))", "x))", "f(g(x))"),
    ("f(g($0)", "x))", "f(g(x))"),
    ('print("$0")', 'hello")', 'print("hello")'),
    ('print("$0")', 'hello", end=")")', 'print("hello", end=")")'),
    ('print("$0")', "it's)", 'print("it\'s)")'),
    ("x = [$0]", "1, (2, 3)]", "x = [1, (2, 3)]"),
    ("x = {$0}", "'a': [1]}", "x = {'a': [1]}"),
    ("if a$0:", " and b:", "if a and b:"),
    ("foo($0);", "bar);", "foo(bar);"),
    ("foo(a, $0bar, baz)", "b, bar, baz)", "foo(a, b, bar, baz)"),
    ("foo(a, $0bar, baz)", "b, ", "foo(a, b, bar, baz)"),
    ("x = $0 + 1", "value + 1", "x = value + 1"),
    ("x = area(w$0) * 2", "idth, height) * 2", "x = area(width, height) * 2"),
    ("x = area(w$0) * 2", "idth, 0)) * 2", "x = area(width, 0) * 2"),
]


@pytest.mark.parametrize(("document", "written", "expected"), CLOSERS)
def test_closers_are_overwritten_and_never_doubled(document: str, written: str, expected: str) -> None:
    assert accept(document, written) == expected


DUPLICATES = [
    ("def f():\n    $0\n    return a\n", "return a", LINE, None),  # the next line
    ("def f():\n    ret$0\n    return a\n", "urn a", LINE, None),
    ("def f():\n    a = 1\n    $0\n", "a = 1", LINE, None),  # the line above
    ("def f():\n    $0\n    return a\n", "a = 1\n    return a", BLOCK, "def f():\n    a = 1\n    return a\n"),
    ("if a:\n    $0\nreturn a\n", "return a", LINE, "if a:\n    return a\nreturn a\n"),  # another indentation
    ("f {\n    $0\n}\n", "a();\n}", StopRule(True, 0), "f {\n    a();\n}\n"),
]


@pytest.mark.parametrize(("document", "written", "rule", "expected"), DUPLICATES)
def test_lines_of_the_document_are_not_repeated(
    document: str, written: str, rule: StopRule, expected: str | None
) -> None:
    assert accept(document, written, rule) == expected


ENDS = [
    ("x = $0\n", "12\ny = 2", LINE, "x = 12\n"),
    ("x = 1$0\n", "\ny = 2", LINE, None),
    (
        "def f():\n    $0",
        "a = 1\n    return a\n\n\ndef g(): pass",
        BLOCK,
        "def f():\n    a = 1\n    return a",
    ),
    ("def f():\n    $0", "a = 1\n\n    return a\ng()", BLOCK, "def f():\n    a = 1\n\n    return a"),
    ("def f():$0", "\n    return 12\nx = 1", BLOCK, "def f():\n    return 12"),
    ("def f():\n    $0", "\n".join(["line()"] + [f"    line{i}()" for i in range(30)]), BLOCK, 12),
]


@pytest.mark.parametrize(("document", "written", "rule", "expected"), ENDS)
def test_a_completion_ends_where_the_rule_says(
    document: str, written: str, rule: StopRule, expected: str | int | None
) -> None:
    shown = accept(document, written, rule)

    if isinstance(expected, int):
        assert shown is not None
        assert len(shown.split("\n")) == expected + 1
    else:
        assert shown == expected


@pytest.mark.parametrize("written", ["1\n", "1\nb", "a = 1\n    b = 2\nc", "a\n    b\n\n\n"])
def test_the_generator_is_stopped_as_soon_as_the_shown_text_is_whole(written: str) -> None:
    rule = LINE if written.startswith("1") else BLOCK

    assert rule.finished(written)
    assert not rule.finished(written.split("\n")[0])


INDENTATION = [
    ("def f():\n    $0", "    return 12", "def f():\n    return 12"),  # doubled by the model
    ("def f():\n   $0", "return 12", "def f():\n    return 12"),  # an odd column
    ("def f():\n$0", "return 12", "def f():\nreturn 12"),
    ("def f():\n$0", "    return 12", "def f():\n    return 12"),
    ("def f():\n    if a:\n    $0", "    return 12", "def f():\n    if a:\n        return 12"),
    ("def f():\n\tif a:\n\t$0", "    return 12", "def f():\n\tif a:\n\t\treturn 12"),
    ("x = [\n    1,\n    $0", "22,", "x = [\n    1,\n    22,"),
]


@pytest.mark.parametrize(("document", "written", "expected"), INDENTATION)
def test_the_first_line_stands_where_the_document_allows(document: str, written: str, expected: str) -> None:
    assert accept(document, written) == expected


def test_later_lines_take_the_documents_tabs_or_spaces() -> None:
    tabs = "class A:\n\tdef f(self):\n\t\tpass\n\n\tdef g(self):\n\t\t$0"
    spaces = "class A:\n  def f(self):\n    pass\n\n  def g(self):\n    $0"

    assert accept(tabs, "a = 1\n        return a", BLOCK) == tabs.replace("$0", "a = 1\n\t\treturn a")
    assert accept(spaces, "a = 1\n\t\treturn a", BLOCK) == spaces.replace("$0", "a = 1\n    return a")


def test_a_document_with_crlf_gets_crlf() -> None:
    assert (
        accept("def f():\r\n    $0\r\n", "a = 1\n    return a", BLOCK)
        == "def f():\r\n    a = 1\r\n    return a\r\n"
    )


LOOPS = [
    ("a()\n    b()\n    a()\n    b()\n    a()\n    b()", "a()\n    b()"),
    ("a = 1\n    x()\n    x()\n    x()\n    x()", "a = 1\n    x()"),
    ("keep(rows)\n        keep(rows)\n            keep(rows)", "keep(rows)"),
    ("keep(rows)\n    keep(rows)", "keep(rows)\n    keep(rows)"),
    (
        "for _ in rows:\n        for _ in rows:\n            keep()",
        "for _ in rows:\n        for _ in rows:\n            keep()",
    ),
    ("x = 'abcdefgabcdefgabcdefgabcdefgabcdefg", "x = 'abcdefg"),
    ("# ------------------------------------------", "# ------------------------------------------"),
]


@pytest.mark.parametrize(("written", "shown"), LOOPS)
def test_loops_are_cut_to_their_first_round(written: str, shown: str) -> None:
    assert accept("def f():\n    $0", written, BLOCK) == f"def f():\n    {shown}"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("value<|endoftext|>def g", "x = value"),
        ("value<|fim_suffix|>", "x = value"),
        ("value</s>", "x = value"),
        ("value\x00more", "x = value"),
        ("value\ufffdmore", "x = value"),
        ("<|file_sep|>a.py\ncode", None),
        ("'<|'", "x = '<|'"),
        ("a < b > c", "x = a < b > c"),
        ("# src/package/module.py\ncode", None),
        ("   \n  ", None),
        ("1", None),
        ("", None),
    ],
)
def test_special_tokens_path_comments_and_scraps_are_never_shown(written: str, expected: str | None) -> None:
    assert accept("x = $0", written) == expected


def test_what_a_limit_cut_short_loses_its_half_word_or_half_line() -> None:
    assert accept("x = $0", "foo(bar, ba", whole=False) == "x = foo(bar,"
    assert accept("def f():\n    $0", "a = 1\n    retu", BLOCK, whole=False) == "def f():\n    a = 1"
    assert accept("x = $0", "foo(bar)\nba", whole=False) == "x = foo(bar)"


def test_before_code_on_the_line_only_what_leads_to_it_is_shown() -> None:
    assert accept("call($0other)\n", "first, ") == "call(first, other)\n"
    assert accept("call($0other)\n", "first, other)\nmore") == "call(first, other)\n"
    assert accept("    $0self.tell()\n", "self.stop()\n    ") is None
    assert accept("call($0other)\n", "first, sec", whole=False) is None


INVISIBLE = (
    *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x206A)),
    *map(chr, range(0x200B, 0x2010)),
    *"\u2060\ufeff\u2028\u2029\u061c\u00ad\u3164\ufe0f\x85\x9b\x1b\x00\U000e0001\U000e0041\U000e0100",
)


@pytest.mark.parametrize("char", INVISIBLE, ids=lambda char: f"U+{ord(char):04X}")
def test_what_cannot_be_seen_is_not_suggested(char: str) -> None:
    """ "Trojan Source", CVE-2021-42574: whoever wrote the line that is recalled."""
    snapshot = take(Buffer("file:///a.py", 1, None, "python", "x = "), Position(0, 4))
    shown = present(f"value{char} + other", snapshot, StopRule(block=False))

    assert shown == Suggestion("value")
    assert present(f"{char}value", snapshot, StopRule(block=False)) == "no code"


FLAWS: list[tuple[str, str, StopRule, Flaw]] = [
    ("print($0)", ")", LINE, "closers"),
    ("x = f(a$0", "):", LINE, "closers"),
    ("x = $0", "1", LINE, "short"),
    ("def f():\n    $0\n    return a\n", "return a", LINE, "repeated"),  # the next line
    ("def f():\n    a = 1\n    $0\n", "a = 1", LINE, "repeated"),  # the line above
    ("foo($0value)", "value", LINE, "repeated"),  # the rest of the line
    ("def f(a):\n    pass\n\n\n$0", "def f(b):\n    return b", StopRule(block=True), "repeated"),
    ("x = 1\n$0", "Here is the code", LINE, "no code"),
    ("x = 1\n$0", "else:", LINE, "no code"),
    ("$0", "# src/shop/sail.py\n", LINE, "no code"),
    ("x = $0", "<|endoftext|>value", LINE, "no code"),
    ("print($0 + 1)", "value\nother", LINE, "elsewhere"),
]


@pytest.mark.parametrize(("document", "written", "rule", "flaw"), FLAWS)
def test_what_is_not_shown_says_what_is_the_matter_with_it(
    document: str, written: str, rule: StopRule, flaw: Flaw
) -> None:
    assert present(written, at(document), rule) == flaw
