"""What is open at the end of a text, in each language: `opened` are the marks from the outermost."""

from __future__ import annotations

import random
import time

import pytest

from indexer.languages import LANGUAGES
from indexer.lexis import PLAIN, lexis_of
from indexer.scanning import near_lines, opened_before, scan

BRACED = [language.name for language in LANGUAGES if lexis_of(language.name).braces]
CASES = [
    ("javascript", "f(a, [b, {", "( [ {"),
    ("javascript", "f('it\\'s (', ", "("),
    ("javascript", "x = `a ${b + `", "` ${ `"),
    ("javascript", "x = `a ${b}`; f(", "("),
    ("javascript", 'x = /[("]/.test(', "("),
    ("javascript", "x = a / b / f(", "("),
    ("javascript", "// f(\ng[", "["),
    ("javascript", "/* f(\n g[", "/*"),
    ("javascript", "<p>Don't</p>\nf(", "("),
    ("go", "x := `a\n(", "`"),
    ("go", "x := '\\'' + f(", "("),
    ("rust", "fn f<'a>(x: &'a str", "("),
    ("rust", "f('(', '\\'', b'\"', ", "("),
    ("rust", 'x = r##"a"# (', 'r##"'),
    ("rust", 'x = "a\n(', '"'),
    ("rust", "/* a /* b */ (", "/*"),
    ("java", 'x = """\n a "b" (', '"""'),
    ("c", "x = '\"'; f(", "("),
    ("c", 'puts("a\\\n(', '( "'),
    ("cpp", 'x = R"y(a)" )z" (', 'R"y('),
    ("cpp", "x = 1'000; f(", "("),
]


@pytest.mark.parametrize(("language", "text", "opened"), CASES)
def test_what_is_open(language: str, text: str, opened: str) -> None:
    assert [one.mark for one in opened_before(text, lexis_of(language))] == opened.split()


def test_a_bracket_closes_what_it_can_in_lines_that_are_being_written() -> None:
    lexis = lexis_of("javascript")
    text = "function f() {\n  g(a\n}\nh("
    assert [one.mark for one in opened_before(text, lexis)] == ["("]
    assert [one.is_known for one in scan("a)}", lexis, opened_before("{ f(", lexis)).closed] == [True, True]
    assert [one.is_known for one in scan("a})", lexis, opened_before("{ f(", lexis)).closed] == [False, True]


def test_without_a_lexis_only_a_string_of_the_line_is_open() -> None:
    assert [one.mark for one in opened_before('f(\nprint("a', PLAIN)] == ['"']
    assert opened_before("f(\nx = 1", PLAIN) == ()
    assert lexis_of("python") is lexis_of("lua") is PLAIN


def test_many_lines_are_read_from_a_definition_on() -> None:
    lexis = lexis_of("rust")
    text = 'const A: &str = "\n' + "a {\n" * 500 + '";\n' + "fn f() {}\n" * 300 + "fn g() {\n    h("
    assert near_lines(text, lexis).startswith("fn f()")
    assert [one.mark for one in opened_before(text, lexis)] == ["{", "("]


PIECES = (
    "(",
    ")",
    "{",
    '"',
    "'",
    "`",
    "${",
    "/*",
    "*/",
    "//",
    "/",
    "/a",
    "=/[",
    "r#",
    'r#"',
    'R"x(',
    "\\",
    "\n",
    "'a",
    "<",
    "ab ",
)


@pytest.mark.parametrize("language", BRACED)
@pytest.mark.parametrize("piece", PIECES)
def test_it_takes_linear_time(language: str, piece: str) -> None:
    lexis, text = lexis_of(language), piece * (32_000 // len(piece))
    began = time.thread_time()
    scan(text, lexis)
    scan("=" + text, lexis, recovers=True)
    assert time.thread_time() - began < 1.0  # 60 ms; in quadratic time it would be minutes


@pytest.mark.parametrize("language", BRACED)
def test_any_text_can_be_read(language: str) -> None:
    chance = random.Random(language)
    for _ in range(200):
        text = "".join(chance.choices(PIECES, k=chance.randrange(40)))
        found = scan(text, lexis_of(language), opened_before(text[::-1], lexis_of(language)))
        assert all(0 <= one.at < len(text) for one in found.closed)
        assert -1 <= found.last < max(len(text), 1)
