"""One line or a block, decided at the cursor `$0`."""

from __future__ import annotations

import time

import pytest

from indexer import Extent, extent_at

LINE = Extent(False)
CASES = [
    ("def f(x):\n    $0\n", Extent(True, 4)),
    ("def f(x):$0\n\ny = 1\n", Extent(True, 1)),
    ("def f(\n    x,\n) -> int:\n    $0\n\ny = 1\n", Extent(True, 4)),
    ("def f(x):\n$0\n", Extent(True, 4)),
    ("def f(x):\n    a = 1\n    $0\n", LINE),
    ("def f(x):\n    $0\n    a = 1\n", LINE),
    ('def f(x):\n    """Doc."""\n    # then\n    $0\n\ndef g(): pass\n', Extent(True, 4)),
    ("class A:\n    def f(self):\n        if x:\n            $0\n        return 1\n", Extent(True, 12)),
    (
        "class A:\n    def f(self):\n        if x:\n            y\n        else:$0\n        return 1\n",
        Extent(True, 9),
    ),
    ("class A:\n\tdef f(self):\n\t\t$0\n", Extent(True, 16)),
    ("for x in y:\r\n    $0\r\n", Extent(True, 4)),
    ("try:\n    $0\nexcept E:\n    pass\n", Extent(True, 4)),
    ("x = {1:$0}\n", LINE),
    ("x = foo($0)\n", LINE),
    ("return foo($0, b)\n", LINE),
    ("def f($0\n", LINE),
    ("# a comment: $0\n", LINE),
    ('x = """\ntext\n$0\n"""\n', LINE),
    ("x = [\n    $0\n]\n", LINE),
    ("import os\n$0\n", LINE),
    ("$0", Extent(True, 0)),
]


@pytest.mark.parametrize(("marked", "expected"), CASES, ids=[repr(case[0]) for case in CASES])
def test_python(marked, expected):
    offset = marked.index("$0")
    assert extent_at(marked.replace("$0", ""), offset, "python") == expected


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("function f() {\n  $0\n}\n", Extent(True, 2)),
        ("function f() {\n  $0\n  return 1;\n}\n", LINE),
        ("const x = $0;\n", LINE),
        ("  if (x) {$0\n", Extent(True, 3)),
    ],
)
def test_other_languages(marked, expected):
    assert extent_at(marked.replace("$0", ""), marked.index("$0"), "text") == expected


BLOCKS = [
    ("typescript", "function f() {\n  $0\n}\n", Extent(True, 2)),
    ("typescript", "function f() {\n  $0\n", Extent(True, 2, 0)),
    ("typescript", "namespace a {\nfunction f() {\n  $0\n}\n", Extent(True, 2, 0)),  # one brace for two
    ("typescript", "function f() {\n  // first\n  $0\n}\n", Extent(True, 2)),
    ("typescript", "function f() {\n  $0\n  return 1;\n}\n", LINE),
    ("typescript", "function f() {$0}\n", Extent(True, 1, 0)),
    ("typescript", "if (a) $0\n", Extent(False, 0, 0)),
    ("typescript", "f(\n  a,\n  () => {\n    $0\n  },\n);\n", Extent(True, 4)),
    ("typescript", "x = [\n  $0\n]\n", LINE),
    ("typescript", "// function f() {\n$0", Extent(True, 0)),
    ("typescript", "/* {\n  $0", LINE),
    ("typescript", "x = `{\n  $0", LINE),
    ("go", "switch a {\ncase 1:\n\t$0\ncase 2:\n}\n", Extent(True, 8)),
    ("go", 'x := map[string]int{\n\t"a": 1,\n\t$0\n}\n', LINE),
    ("rust", "match a {\n    A =>\n        $0\n}\n", Extent(True, 8)),
    ("c", "int main(void)\n{\n    $0\n}\n", Extent(True, 4)),
    ("cpp", "class A {\npublic:\n    $0\n};\n", Extent(True, 4)),
    ("typescriptreact", "<ul>\n  $0\n</ul>\n", Extent(True, 2)),
    ("typescriptreact", "<ul>\n  $0\n", Extent(True, 2, 0)),
    ("typescriptreact", "<Menu items={$0} />\n", LINE),
]


@pytest.mark.parametrize(("language", "marked", "expected"), BLOCKS)
def test_braces(language, marked, expected):
    assert extent_at(marked.replace("$0", ""), marked.index("$0"), language) == expected


def test_half_a_megabyte_of_braces_costs_little():
    for piece in ("f(a) {\n", "}\n", "(", "{", "x = `a ${\n", "/*\n"):
        text = piece * (500_000 // len(piece))
        started = time.process_time()
        extent_at(text, len(text) // 2, "typescript")
        assert time.process_time() - started < 0.5


def test_twenty_thousand_lines_cost_little():
    method = "    def f(self):\n        return 1\n\n"
    text = "class A:\n" + method * 3_500 + "    def g(self):\n        $0\n\n" + method * 3_500
    offset = text.index("$0")
    text = text.replace("$0", "")
    started = time.process_time()
    assert extent_at(text, offset, "python") == Extent(True, 8)
    assert time.process_time() - started < 0.1
