"""Which lines of other languages become tasks."""

from __future__ import annotations

import pytest

from model.evaluation.code_lines import code_lines
from model.evaluation.drawing import draw_lines


@pytest.mark.parametrize(
    ("language", "text", "wanted"),
    [
        ("javascript", "'use strict'\nconst a = require('a')\nconst b = a.b(c)\n})\n", ["const b = a.b(c)"]),
        (
            "typescript",
            "// a\nimport { a } from 'b'\nexport type A = B<C>\n} from 'c'\n",
            ["export type A = B<C>"],
        ),
        (
            "typescript",
            "a\nexport { a, b } from './c'\nexport const a = () => b\n",
            ["export const a = () => b"],
        ),
        ("go", 'package a\nimport (\n"fmt"\nx "net/http"\n)\nreturn a, b.c()\n', ["return a, b.c()"]),
        (
            "rust",
            "//! a b c d e\nuse std::fmt;\npub(crate) mod a;\nlet a: &'b str = c;\n",
            ["let a: &'b str = c;"],
        ),
        ("java", "package a.b.c;\nimport a.b.C;\n * a b c d e\nreturn a.b(c);\n", ["return a.b(c);"]),
        (
            "c",
            "a\n#include <stdio.h>\n#define A(b) (b + 1)\n*p = q->r;\n",
            ["#define A(b) (b + 1)", "*p = q->r;"],
        ),
        ("cpp", "a\n/* a b\nint a = b + c;\nb */\nint d = e + f;\n", ["int d = e + f;"]),
        ("cpp", "a\n/* a b c d */\nint d = e + f;\n\nint behind = a + blank;\n", ["int d = e + f;"]),
    ],
)
def test_code_is_drawn_and_no_comment_import_or_closer(language: str, text: str, wanted: list[str]) -> None:
    assert [text.split("\n")[n] for n in code_lines(text, language)] == wanted


def test_drawn_lines_are_whole_and_no_two_alike() -> None:
    texts = {"a.go": "package a\n" + "\tx := f(a, b)\n" * 5 + "\ty := f(a, b)\n", "b.go": "x\nx := f(a, b)\n"}
    tasks = draw_lines("r", texts, "go", 10, 1, "S")
    assert sorted(task.target.strip() for task in tasks) == ["x := f(a, b)", "y := f(a, b)"]
    for task in tasks:
        assert task.text == texts[task.path]
        assert (task.language, task.source, task.kind) == ("go", "S", "line")
        assert task.prefix.endswith("\n")
    assert tasks == draw_lines("r", dict(reversed(texts.items())), "go", 10, 1, "S")
