"""What may stand at a cursor, by the grammar: a golden table. `$0` marks the cursor."""

from __future__ import annotations

import pytest

from indexer import sound_part, soundness
from tests.hostile_documents import NAMES, hostile

STANDS = [
    ("$0", "import os"),
    ("x = foo($0", "a, b)"),
    ("x = foo($0", "a,"),
    ("x = foo(\n    a,\n$0", "    b=1,"),
    ("x = [\n    $0", "one for one in"),
    ("x = {$0", '"a": {'),
    ("x = $0", "a +"),
    ("x = a $0", "if b"),
    ("if a$0", " and b"),
    ("if a$0", ":"),
    ("for $0", "x"),
    ("for x $0", "in y:"),
    ("from os $0", "import path"),
    ("from $0", "os"),
    ("async $0", "def f"),
    ("def f($0", "self, a: int"),
    ("def f($0", ") -> None:"),
    ("class A:\n    $0", "@property"),
    ("class A:\n    $0", "@property\n    def x(self):\n        return 1"),
    ("try:\n    x()\n$0", "except ValueError:"),
    ("try:\n    x()\n$0", "except ValueError:\n    pass\nfinally:"),
    ("try:\n    $0", "x()"),
    ("def f():\n    try:\n        x()\n    $0", "finally:\n        y()"),
    ("if a:\n    b\n$0", "else:"),
    ("if a:\n    b\n$0", "elif c:"),
    ("while a:\n    b\n$0", "else:\n    c"),
    ("match a:\n    case 1:\n        b\n    $0", "case 2:"),
    ('"""Text', " that ends.$0"),
    ('def f():\n    """$0', "Prose that is not code: it's (so"),
    ('x = "$0', "it's"),
    ('x = f"{$0', "a.b"),
    ("x = 'a'  # $0", "it's (so"),
    ("x = lambda a: $0", "a"),
    ("with a as b, $0", "c as d:"),
    ("print x\n$0", "print y"),
    ("x = 1 +* 2\n$0", "y = 2)"),  # no Python above: nothing is known
]
STANDS_NOT = [
    ("x = foo($0", "a))", "a)"),
    ("x: Repo[int$0", "]))", "]"),
    ("x = [1, $0", "2)", "2"),
    ("foo(bar(\n$0", "    ]", ""),
    ("else$0", ":", ""),
    ("x = 1\n$0", "else:", ""),
    ("x = 1\n$0", "except ValueError:", ""),
    ("def f():\n    x = 1\n    $0", "finally:", ""),
    ("x = 1\n$0", "y = 2\nelse:\n    z = 3", "y = 2"),
    ("def f(a):\n    x = 1\n    $0", "y = 2)\n    z = 3", "y = 2"),
    ("def f():\n    h$0", "e agent and yields responses.", ""),
    ("async f$0", ".client.build(", ""),
    ("async def del$0", ".seq.asc())", ""),
    ("def f(model: int):\n    return g(mo$0", "del: int) -> int:", "del"),
    ("def f():\n    return g(mo$0", "del: int) -> int:", ""),  # a name that the document has not
    ("def f():\n    return g(self.lab$0", "el:", "el"),
    ("def f(a):\n    return a if isi$0", 'nstance(a["b"], str):', 'nstance(a["b"], str)'),
    ("def f(a=None, b=No$0", "ne:", "ne"),
    ("from a import b$0", "(c, d=e)", ""),
]


@pytest.mark.parametrize(("document", "text"), STANDS)
def test_what_may_stand_is_left_as_it_is(document: str, text: str) -> None:
    before, _, rest = document.partition("$0")

    assert sound_part(before, text, rest) == text


@pytest.mark.parametrize(("document", "text", "left"), STANDS_NOT)
def test_what_may_not_stand_is_left_out(document: str, text: str, left: str) -> None:
    before, _, rest = document.partition("$0")

    assert sound_part(before, text, rest) == left


def test_what_is_left_of_the_line_counts() -> None:
    assert sound_part("x = foo(", "a", ")") == "a"
    assert sound_part("x = foo(a", ")", ")") == ""
    assert sound_part("x = foo(", "a, ", "b, c)") == "a, "


def test_of_a_long_document_what_is_above_the_window_may_have_opened_anything() -> None:
    body = "    x = 1\n" * 300

    assert sound_part(f"if a:\n{body}", "else:", "") == "else:"
    assert sound_part(f"x = [\n{'    1,' * 9_000}\n", "]", "") == "]"
    assert sound_part(f"try:\n{body}    def f():\n        pass\n", "except E:", "") == "except E:"
    assert sound_part(f"{body.replace('    ', '')}def f():\n    y = 1\n    ", "z = 2)", "") == "z = 2"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", ["value)", "x)\n" * 400, "(" * 1_500])
def test_of_hostile_documents_little_is_parsed(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def parse(source: bytes, language: str) -> object:
        sizes.append(len(source))
        return parsed(source, language)

    parsed = soundness.parse_within_limits
    monkeypatch.setattr(soundness, "parse_within_limits", parse)
    document = hostile(name)
    sound_part(document.text[: document.cursor], text, "")

    assert sum(sizes) <= 300_000  # bytes
