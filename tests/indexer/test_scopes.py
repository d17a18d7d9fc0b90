"""Which places mean the same name."""

from __future__ import annotations

import pytest

from indexer import Syntax


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param("def f(NEW):\n    return old\ndef g():\n    return old\n", [1], id="a parameter"),
        pytest.param("NEW = 1\ndef f():\n    return old\ndef g(old):\n    return old\n", [2], id="hidden"),
        pytest.param("import NEW\nold.x\nx.old\nf(old=old)\n", [1, 3], id="neither attribute nor keyword"),
        pytest.param("def f():\n    NEW = 1\n    def g():\n        return old\n", [3], id="a closure"),
        pytest.param(
            "def f(old):\n    return [NEW for x in old], old\n", [0, 1, 1], id="used in a comprehension"
        ),
        pytest.param("old = 1\nx = [NEW for old in y]\n", [1], id="bound by a comprehension"),
        pytest.param(
            "class A:\n    old = 1\n    def f(self):\n        return old, self.old\nNEW()\n",
            [3],
            id="not a class's own",
        ),
        pytest.param(
            "class A:\n    def NEW(self):\n        self.old()\nclass B:\n    def f(self):\n        self.old()\n",
            [2],
            id="a method",
        ),
        pytest.param(
            "class A:\n    def f(self):\n        self.NEW = 1\n    def g(self):\n        return self.old, x.old\n",
            [4],
            id="an attribute",
        ),
        pytest.param(
            '"""old"""\nNEW = 1\n# old\nolder = bold\nprint(old, "old")\n', [4], id="no text, no comment"
        ),
        pytest.param("é = 'ü'\nNEW = 1\nold\n", [2], id="more bytes than characters"),
        pytest.param("def f(:\n  NEW ( = old\n", [1], id="broken code"),
    ],
)
def test_a_name_is_known_where_it_means_the_same(text: str, lines: list[int]) -> None:
    found = Syntax(text).same_name(text.index("NEW"), "old")

    assert [text.count("\n", 0, offset) for offset in found] == lines
    assert all(text.startswith("old", offset) for offset in found)


@pytest.mark.parametrize(
    ("text", "kind"), [("x = HERE\n", "code"), ("x = 'a HERE b'\n", "string"), ("# a HERE b\n", "comment")]
)
def test_a_place_is_code_or_text(text: str, kind: str) -> None:
    at = text.index("HERE")

    assert Syntax(text).kind_at(at, at + 4)[0] == kind
