"""What is held back though the model is sure: a golden table. `$0` marks the cursor; the right side is what is left."""

from __future__ import annotations

import pytest

from lsp_server.gates import passed
from lsp_server.snapshot import Buffer, Snapshot, take
from tests.typist import position

CLASS = "class A:\n    def one(self):\n        pass\n\n    def two(self):\n        pass\n\n"
HELD_BACK = {
    "the next line": [
        ("x = 1\n$0\ny = 2\n", "z = 3\ny = 2\nw = 4", "z = 3"),
        ("def f():\n    $0\n    return x\n", "x = 1\n    return x\n    y", "x = 1"),
    ],
    "a second definition": [
        (f"{CLASS}    $0", "def one(self):", ""),
        (f"{CLASS}    de$0", "f two(self, x):", "f"),
        (f"{CLASS}    async def t$0", "wo(self):", ""),
        (f"{CLASS}    as$0", "ync def two(self):", "ync def"),
        (f"{CLASS}    $0", "x = 1\n\n    def two(self):\n        pass", "x = 1\n"),
        ("$0\n\n\nclass A:\n    pass\n", "class A:", ""),
        ("def f():\n    pass\n\n$0", "def f():\n    return 1", ""),
        ("$0", "def f():\n    pass\n\ndef f():\n    pass", "def f():\n    pass\n"),
    ],
    "a late future import": [
        ("import os\n$0", "from __future__ import annotations", ""),
        ("from os import path\n\n$0", "import re\nfrom __future__ import annotations", "import re"),
        ("class A:\n    pass\nfrom $0", "__future__ import annotations", ""),
    ],
    "no syntax": [
        ("print(one$0", "))", ")"),
        ("x = 1\n$0", "except ValueError:", ""),
    ],
}
PASSES = [
    ("x = 1\n$0\ny = 2\n", "z = 3\nw = 4"),
    ("if a:\n    $0\n    return x\n", "if b:\n        return x"),  # further in
    ("x = (\n    $0\n)\n", "1,\n    2,"),
    (f"{CLASS}    $0", "def three(self):"),
    (f"{CLASS}    def one$0", "(self, x):"),  # the user has written it so
    (f"{CLASS}    @one.setter\n    $0", "def one(self, x):"),
    (f"{CLASS}class B:\n    $0", "def one(self):"),
    (f"{CLASS}$0", "def one():"),
    ("@overload\ndef f(a: int): ...\n$0", "def f(a):"),
    ("if a:\n    def f(): ...\nelse:\n    $0", "def f(): ..."),
    ("def f():\n    def g(): ...\n\n\ndef h():\n    $0", "def g(): ..."),
    ("def _(): ...\n$0", "def _(): ..."),
    ('"""Prose\nfrom somewhere.\n"""\n\n# Copyright\n$0', "from __future__ import annotations"),
    ("from __future__ import division\n$0", "from __future__ import annotations"),
    ("import os\nfrom __f$0", "uture__ import annotations"),
    ("def f():\n    $0", "if x:"),  # one line
    ("def f():\n    $0", "if x:\n        y = 1"),
    ("def f():\n    while x:$0", "\n        try:"),
    ("def f():\n    $0", "x = {\n        'a':"),
]


def at(document: str, language: str = "python") -> Snapshot:
    before, _, after = document.partition("$0")
    return take(
        Buffer("file:///a.py", 1, None, language, before + after), position(before, len(before)), "utf-16"
    )


@pytest.mark.parametrize(
    ("document", "text", "left"), [row for rows in HELD_BACK.values() for row in rows], ids=repr
)
def test_what_cannot_be_meant_is_held_back(document: str, text: str, left: str) -> None:
    assert passed(text, at(document)).rstrip() == left.rstrip()


@pytest.mark.parametrize(("document", "text"), PASSES, ids=repr)
def test_what_may_be_meant_passes(document: str, text: str) -> None:
    assert passed(text, at(document)) == text


@pytest.mark.parametrize("text", ["def one(self):", "))", "x\n    if y:"])
def test_of_another_language_only_the_next_line_is_known(text: str) -> None:
    assert passed(text, at(f"{CLASS}    $0", "lua")) == text
    assert passed("z\ny = 2", at("x\n$0\ny = 2\n", "lua")) == "z"
