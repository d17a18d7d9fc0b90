"""Chunks cover the file, follow the syntax, and stay the same when something else changes."""

from __future__ import annotations

import gc
import random
import sysconfig
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tree_sitter import Parser

from indexer import language_of
from indexer.captures import in_order, search
from indexer.chunking import chunk
from indexer.languages import LANGUAGES, TEXT
from indexer.parsing import grammar_of, queries_of
from indexer.splitting import ChunkLimits

LIMITS = ChunkLimits()
LANGUAGE_NAMES = [*(language.name for language in LANGUAGES), TEXT]


def check_cover(text: str, language: str) -> None:
    chunks = chunk(text, language)
    assert "".join(found.text for found in chunks) == text
    line = 1
    for found in chunks:
        assert found.text
        assert len(found.text) <= LIMITS.chars
        assert found.last_line - found.first_line < LIMITS.lines
        assert found.first_line in (line, line - 1)  # pieces of one long line share it
        line = found.last_line + 1


def starts(source: str) -> list[str]:
    return [found.text.strip().split("\n")[0] for found in chunk(source, "python")]


FUNCTION = """def {name}(a, b):
    first = a + b
    second = first * 2
    third = second - a
    fourth = third
    fifth = fourth
    return fifth
"""


def functions(*names: str) -> str:
    return "\n\n".join(FUNCTION.format(name=name) for name in names)


def test_functions_are_chunks_and_the_lines_between_are_grouped():
    source = (
        f'"""Doc."""\n\nimport os\nimport re\n\n\n{functions("one")}\n\n'
        f"LIMIT = 1\nOTHER = 2\n\n\n{functions('two')}"
    )
    assert starts(source) == ['"""Doc."""', "def one(a, b):", "LIMIT = 1", "def two(a, b):"]


def test_decorators_and_comments_belong_to_the_definition_below():
    source = f"{functions('one')}\n\n# What two does.\n@cache\n{functions('two')}"
    assert starts(source) == ["def one(a, b):", "# What two does."]


def test_a_class_that_fits_is_one_chunk_and_one_that_does_not_opens_up():
    methods = ["\n".join("    " + line for line in functions(name).splitlines()) for name in "abcdefghijk"]
    small = "class Small:\n" + methods[0] + "\n"
    large = "class Large(Base):\n    '''Doc.'''\n\n    limit = 1\n\n" + "\n\n".join(methods) + "\n"
    assert starts(small) == ["class Small:"]
    chunks = chunk(large, "python")
    assert [found.text.strip().split("(")[0] for found in chunks[1:]] == [
        f"def {name}" for name in "abcdefghijk"
    ]
    assert chunks[0].text.startswith("class Large(Base):\n    '''Doc.'''\n\n    limit = 1\n")
    assert {found.scope for found in chunks[1:]} == {"class Large(Base):"}
    assert chunks[1].signature == "class Large(Base):\n    def a(a, b):"


def test_small_neighbors_merge():
    source = "\n\n".join(f"class E{number}(Exception):\n    pass\n" for number in range(8))
    assert len(chunk(source, "python")) == 1


def test_long_functions_split_at_statements_under_their_header():
    body = "".join(
        f"    if condition_{n}:\n        call_{n}(\n            {n},\n        )\n" for n in range(60)
    )
    chunks = chunk(f"async def long(\n    a: int,  # why\n    b: str = 'x',\n) -> None:\n{body}", "python")
    assert len(chunks) > 3
    assert chunks[0].text.startswith("async def long(")
    assert {found.text.lstrip().split(" ")[0] for found in chunks[1:]} == {"if"}
    assert {found.scope for found in chunks[1:]} == {"async def long(a: int, b: str = 'x') -> None:"}


def test_symbols_are_named_with_their_kind_and_signature():
    source = (
        "MAX = 10\n\ndef f(\n    x: int,\n    *,\n    y: str = '#',\n) -> str:\n    def inner(): ...\n    return y\n\n"
        "@dataclass\nclass C(Base, metaclass=M):\n    async def go(self) -> None: ...\n"
    )
    symbols = [(s.name, s.kind, s.signature) for found in chunk(source, "python") for s in found.symbols]
    assert symbols == [
        ("MAX", "variable", "MAX = 10"),
        ("f", "function", "def f(x: int, *, y: str = '#') -> str:"),
        ("C", "class", "class C(Base, metaclass=M):"),
        ("go", "method", "async def go(self) -> None:"),
    ]


@pytest.mark.parametrize("line", ["import sys\n", "# a comment\n", "\n", "X = 1\n"])
def test_a_line_at_the_top_changes_one_chunk(line):
    for path in ("argparse.py", "typing.py", "ast.py", "json/decoder.py"):
        text = (Path(sysconfig.get_path("stdlib")) / path).read_text("utf-8")
        before = {(found.scope, found.text.rstrip()) for found in chunk(text, "python")}
        after = {(found.scope, found.text.rstrip()) for found in chunk(line + text, "python")}
        assert len(after - before) <= 1


def test_an_edit_changes_few_chunks_wherever_it_is():
    text = (Path(sysconfig.get_path("stdlib")) / "argparse.py").read_text("utf-8")
    lines = text.splitlines(keepends=True)
    before = {(found.scope, found.text.rstrip()) for found in chunk(text, "python")}
    rng = random.Random(1)
    changed = []
    for _ in range(15):
        row = rng.randrange(len(lines))
        indent = lines[row][: len(lines[row]) - len(lines[row].lstrip())].strip("\n")
        edited = "".join([*lines[:row], f"{indent}# an edit\n", *lines[row:]])
        changed.append(
            len({(found.scope, found.text.rstrip()) for found in chunk(edited, "python")} - before)
        )
    assert sorted(changed)[len(changed) // 2] == 1
    assert max(changed) <= 6


def test_text_is_cut_at_blank_lines_least_indented_first():
    source = "".join(
        f"function f{n}() {{\n  one();\n\n  two();\n" + "  three();\n" * 12 + "}\n\n" for n in range(9)
    )
    chunks = chunk(source, "text")
    assert len(chunks) > 1
    assert all(found.text.startswith("function f") for found in chunks)


def test_the_standard_library_is_covered():
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    random.Random(0).shuffle(files)
    for path in files[:40]:
        check_cover(path.read_text("utf-8"), "python")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "x",
        "\ufeffimport os\r\nx = 1\r\n",
        "x = 1" * 5_000,
        "0\n" * 5_000,
        "def f(:\n  )\n\n}}{\n\tclass\n" * 40,
        "if x:\n" + "\n".join(" " * n + "if x:" for n in range(1, 90)),
        "'''\n# in a string\n" * 50,
        "a\x0cb\u2028c\rd\n" * 99,
    ],
)
@pytest.mark.parametrize("language", LANGUAGE_NAMES)
def test_odd_text_is_covered(text, language):
    check_cover(text, language)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3_000), st.sampled_from(LANGUAGE_NAMES))
def test_random_bytes_are_covered(content, language):
    check_cover(content.decode("latin-1"), language)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["def f():\n", "    x = 1\n", "class A:\n", "  y\n", "\n", "@d\n", "'''\n", "(\n", "# c\n"]
        )
    )
)
def test_broken_python_is_covered(lines):
    check_cover("".join(lines), "python")


def test_languages():
    assert [language_of(path) for path in ("a.py", "b/c.PYI", "d.lua", "Makefile")] == [
        "python",
        "python",
        "text",
        "text",
    ]


def test_names_that_share_a_row_are_in_order_of_appearance():
    names = [f"name_{number * 7 % 100}" for number in range(100)]
    found = chunk("; ".join(f"{name} = 1" for name in names) + "\n", "python")
    assert [symbol.name for piece in found for symbol in piece.symbols] == names


def test_each_of_many_statements_costs_the_same() -> None:
    """To walk over all of those before it, for each piece of the text, took 3.5 s, and 0.3 s without a pause."""

    def seconds(n: int) -> float:
        source = b"<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> theirs\n" * n
        tree = Parser(grammar_of("python")).parse(source)
        gc.disable()  # what is collected is of all tests before, and the more often the more there is here
        try:
            began = time.thread_time()
            found = list(in_order(search(tree.root_node, len(source), queries_of("python"))))
            took = time.thread_time() - began
        finally:
            gc.enable()
        assert len([one for one in found if one.kind == "variable"]) == 2 * n
        return took

    # In turn, so that other work of the machine meets both.
    pairs = [(seconds(20_000), seconds(2_500)) for _ in range(4)]
    assert min(many for many, _ in pairs) < 16 * min(few for _, few in pairs)
