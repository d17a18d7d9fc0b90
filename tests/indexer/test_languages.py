"""What each language's query makes of a text: chunks, symbols with kind, signature and nesting, as golden tables.

`python -m tests.indexer.test_languages` writes the tables anew; look at the difference before it is committed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer import parsing
from indexer.chunking import chunk, cutting
from indexer.hierarchy import leaf
from indexer.languages import LANGUAGES, known_language, language_named, language_of
from indexer.outline import outline_of
from indexer.parsing import has_grammar, missing_grammars, parse, queries_of
from indexer.splitting import DEFAULT_LIMITS, MeasuredLines

GOLDEN = Path(__file__).parent / "golden"
SOURCES = sorted(path for path in GOLDEN.iterdir() if path.suffix not in (".golden", ".txt"))
NAMES = [language.name for language in LANGUAGES]
# Of all chunks of python.txt, as they were when Python was the only language: text, lines, scope, symbols, digest.
PYTHON = "f976d6dd50dbd204e94f2d13b9e9813fd8e7ba2ba9673feac7f4ee7211049015"
HOSTILE = (
    "(", "{", "<", '"', "({[<", "`${", "T<", "<a>", "f(", "class A{", 'r#"', "template<", "#if X\n",
    "<<<<<<< HEAD\nx = 1\n",
)  # fmt: skip
HOSTILE_CHARS, HOSTILE_SECONDS = 6_000, 3.0  # most take a hundredth of it


def table(path: Path) -> Iterator[str]:
    for one in chunk(path.read_text("utf-8"), language_of(path.name)):
        yield f"{one.first_line}-{one.last_line} [{' / '.join(one.scope.split(chr(10)))}]"
        yield from (f"    {s.depth} {s.kind} {s.name}: {s.signature}" for s in one.symbols)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_chunks_and_symbols(path: Path) -> None:
    assert "\n".join(table(path)) + "\n" == path.with_name(path.name + ".golden").read_text("utf-8")


def test_chunks_of_python_are_what_they_were() -> None:
    told = hashlib.sha256()
    for one in chunk((GOLDEN / "python.txt").read_text("utf-8"), "python"):
        symbols = [(s.name, s.kind, s.signature, s.depth) for s in one.symbols]
        told.update(
            repr((one.text, one.first_line, one.last_line, one.scope, symbols, one.signature)).encode()
        )
        told.update(leaf(one, "f").digest)
    assert told.hexdigest() == PYTHON


@pytest.mark.parametrize("language", NAMES)
def test_queries_fit_the_grammar(language: str) -> None:
    layout, definitions = queries_of(language)
    assert layout.pattern_count
    assert definitions.pattern_count


@pytest.mark.parametrize("language", [name for name in NAMES if name != "javascriptreact"])
def test_text_without_end_is_cut_in_time(language: str) -> None:
    for piece in HOSTILE:
        text = piece * (HOSTILE_CHARS // len(piece))
        if "\n" not in piece:
            text = "\n".join(text[start : start + 80] for start in range(0, len(text), 80))
        began = time.thread_time()
        chunks = chunk(text, language)
        assert time.thread_time() - began < HOSTILE_SECONDS, piece
        assert "".join(one.text for one in chunks) == text


@pytest.mark.parametrize(("language", "piece"), [("rust", '"'), ("cpp", "T<")])
def test_what_costs_several_times_what_code_does_is_read_as_plain_lines(language: str, piece: str) -> None:
    lines = "\n".join(piece * (80 // len(piece)) for _ in range(1_500))
    known = known_language(language)
    assert known is not None
    assert outline_of(lines, MeasuredLines(lines), known, DEFAULT_LIMITS) is None


def test_large_files_of_code_are_not() -> None:
    for path in SOURCES:
        text = path.read_text("utf-8") * 60
        known = known_language(language_of(path.name))
        assert known is not None
        assert outline_of(text, MeasuredLines(text), known, DEFAULT_LIMITS) is not None, path.name


def test_a_grammar_that_is_missing_makes_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    path, before = GOLDEN / "sample.go", cutting(64, 1_600)
    text = path.read_text("utf-8")
    monkeypatch.setattr(
        parsing, "_loaded", lambda place: "it is gone" if "_go:" in place else parsing.Grammar
    )
    monkeypatch.setattr(parsing, "find_spec", lambda name: None if name == "tree_sitter_go" else name)
    assert not has_grammar("go")
    assert missing_grammars() == {"go": "it is gone"}
    assert cutting(64, 1_600) != before  # files are cut again once it is there
    chunks = chunk(text, "go")
    assert "".join(one.text for one in chunks) == text
    assert not any(one.symbols for one in chunks)
    with pytest.raises(parsing.GrammarError, match="it is gone"):
        parse(b"", "go")


def test_a_grammar_of_another_version_is_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wheel:
        @staticmethod
        def language() -> int:
            raise ValueError("Incompatible Language version 99")

    monkeypatch.setattr(parsing, "import_module", lambda name: Wheel)
    assert "99" in str(parsing._loaded.__wrapped__("tree_sitter_odd:language"))
    assert "does not fit" in str(parsing._loaded.__wrapped__("tree_sitter_odd:other"))
    monkeypatch.undo()
    assert "cannot be imported" in str(parsing._loaded.__wrapped__("tree_sitter_nowhere:language"))


def test_names_of_languages() -> None:
    paths = {
        "a/b.TSX": "typescriptreact",
        "c.h": "cpp",
        "d.c": "c",
        "e.mjs": "javascript",
        "f.rs": "rust",
        "g": "text",
    }
    assert {path: language_of(path) for path in paths} == paths
    told = {
        "c++": "cpp",
        "golang": "go",
        "typescript.tsx": "typescriptreact",
        "lua": "lua",
        "python": "python",
    }
    assert {name: language_named(name) for name in told} == told
    assert known_language("lua") is None


if __name__ == "__main__":
    for source in SOURCES:
        source.with_name(source.name + ".golden").write_text("\n".join(table(source)) + "\n", "utf-8")
