"""What is known of an edit's place in languages whose scopes are not known: what it is, and not what its names mean."""

from __future__ import annotations

import pytest

from indexer import LANGUAGES, Syntax

STRINGS = {
    "javascript": ("`mark`", "'mark'", "/mark/g"),
    "typescript": ("`mark`", "'mark'"),
    "javascriptreact": ("`mark`", '"mark"', "<p>mark</p>"),
    "typescriptreact": ("`mark`", '"mark"', "<p>mark</p>"),
    "go": ("`mark`", '"mark"'),
    "rust": ('r#"mark"#', '"mark"'),
    "java": ('"mark"', '"""\nmark"""'),
    "c": ('"mark"',),
    "cpp": ('"mark"', 'R"x(mark)x"'),
}
OTHERS = [language.name for language in LANGUAGES if not language.scoped]
STATEMENT = {
    "go": "package p\nvar x = {}\n",
    "rust": "fn f() {{ let x = {}; }}\n",
    "java": "class A {{ Object x = {}; }}\n",
}


@pytest.mark.parametrize(
    ("language", "piece"), [(name, piece) for name in OTHERS for piece in STRINGS[name]], ids=repr
)
def test_strings_are_told_from_code(language: str, piece: str) -> None:
    text = STATEMENT.get(language, "x = {};\n").format(piece)
    at = text.index("mark")
    assert Syntax(text, language).kind_at(at, at + 4)[0] == "string"


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("comment", ["// mark\n", "/* mark */\n", "/** mark */\n"])
def test_comments_are_told_from_code(language: str, comment: str) -> None:
    text = comment + STATEMENT.get(language, "x = {};\n").format("mark")
    syntax = Syntax(text, language)
    at, code = text.index("mark"), text.rindex("mark")
    assert syntax.kind_at(at, at + 4)[0] == "comment"
    assert syntax.kind_at(code, code + 4)[0] == "code"


@pytest.mark.parametrize("language", OTHERS)
def test_names_mean_nothing_by_the_rules_of_another_language(language: str) -> None:
    text = "import area from 'x';\ndef f(width): return width\nclass A: pass\n"
    syntax = Syntax(text, language)
    assert syntax.same_name(text.index("width"), "width") is None
    assert syntax.unbound(0, len(text)) == {}
