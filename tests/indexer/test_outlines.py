"""What a found file or directory defines, as lines of signatures."""

from __future__ import annotations

import numpy as np
import pytest

from indexer import Hit, Index, Query, RetrievalSettings
from indexer.chunking import chunk
from indexer.outlines import MAX_CHARS, directory_outline, file_outline
from tests.indexer.test_retrieval import PARSER
from tests.indexer.test_secret_contents import letters

LONG = "".join(f"        step_{n} = value + {n}\n" for n in range(30))
SHAPES = (
    '"""Shapes."""\n\nimport math\n\nUNIT = 1\n\n\n'
    f"class Shape:\n    def area(self, value):\n{LONG}        return value\n\n"
    f"    async def draw(\n        self,\n        value: int,\n    ) -> None:\n{LONG}\n"
    f"    class Corner:\n        def angle(self, value):\n{LONG}            return value\n\n\n"
    "@cache\n"
    f"def made(value):\n    def inner(x):\n        return x\n\n{LONG.replace('        ', '    ')}    return inner\n\n\n"
    "def small(): ...\n"
)
SHAPES_OUTLINE = (
    "class Shape:\n    def area(self, value):\n    async def draw(self, value: int) -> None:\n"
    "    class Corner:\n        def angle(self, value):\ndef made(value):\ndef small():"
)
ALL = RetrievalSettings(chunks=0, files=1, directories=1, repository=1, candidates=500)


@pytest.fixture
def index(open_index, write) -> Index:
    write("lib/shapes.py", SHAPES)
    write("lib/parser.py", PARSER)
    write("lib/constants.py", "ConfigParser_LIMIT = 1\n")
    write("lib/notes.md", "# ConfigParser\n\ndef not_code():\n    pass\n")
    write("lib/deep/below.py", "def below(): ...\n")
    index = open_index()
    index.update()
    return index


def hits(index: Index, path: str = "main.py", settings: RetrievalSettings = ALL) -> dict[str, Hit]:
    key = np.ones(32, np.float32) / np.float32(np.sqrt(32))
    query = Query(path, "ConfigParser Shape below ", "", key, (1, 1))
    return {f"{hit.level} {hit.path}": hit for hit in index.search(query, 60, settings)}


def outlines(index: Index, path: str = "main.py") -> dict[str, str]:
    return {name: hit.outline for name, hit in hits(index, path).items()}


def test_a_file_s_outline_is_its_signatures_and_no_header_twice(index):
    headers = sum("class Shape:" in found.signature for found in chunk(SHAPES, "python"))
    assert headers > 1  # or nothing would be repeated
    assert outlines(index)["file lib/shapes.py"] == SHAPES_OUTLINE


def test_a_file_that_defines_nothing_has_none(index):
    found = outlines(index)
    assert found["file lib/constants.py"] == found["file lib/notes.md"] == ""


def test_a_directory_s_outline_is_the_heads_of_its_own_files(index):
    assert outlines(index)["directory lib"] == (
        "# parser.py\nclass ConfigParser:\n# shapes.py\nclass Shape:\ndef made(value):\ndef small():"
    )


def test_other_levels_have_none(index):
    found = hits(index, settings=RetrievalSettings(repository=1))
    assert {hit.level for hit in found.values() if hit.outline} <= {"file", "directory"}
    assert [hit.level for hit in found.values() if hit.level in ("chunk", "repository")]


def test_the_file_being_edited_is_not_in_its_directory_s_outline(index):
    assert outlines(index, "lib/shapes.py")["directory lib"] == "# parser.py\nclass ConfigParser:"


def test_open_documents_are_outlined_as_they_are(index, root):
    before = outlines(index)
    index.overlay(root / "lib/parser.py", PARSER.replace("ConfigParser", "TomlReader"))
    index.overlay(root / "lib/fresh.py", "def unsaved(): ...\n")
    index.overlay(root / "lib/shapes.py", "")
    found = outlines(index)
    assert found["directory lib"] == "# fresh.py\ndef unsaved():\n# parser.py\nclass TomlReader:"
    assert found["file lib/parser.py"].startswith("class TomlReader:\n    def parse_section(")
    assert found["file lib/shapes.py"] == ""
    for name in ("parser.py", "fresh.py", "shapes.py"):
        index.overlay(root / "lib" / name, None)
    assert outlines(index) == before


def test_an_outline_follows_the_disk_and_nothing_of_what_is_gone_is_in_it(index, root, open_index, write):
    index.update([write("lib/key.py", "def load():\n    return 1\n")])
    assert "# key.py\ndef load():" in outlines(index)["directory lib"]
    write("lib/key.py", f"def load():\n    return 'ghp_{letters(36)}'\n")
    write("lib/parser.py", PARSER.replace("parse_section", "parse_all"))
    (root / "lib/shapes.py").unlink()
    write("lib/deep/.gitignore", "below.py\n")
    index.update()
    found = outlines(index)
    assert not any(
        name in text for name in ("Shape", "below", "load", "parse_section") for text in found.values()
    )
    assert "parse_all" in found["file lib/parser.py"]
    fresh = open_index(cache="fresh")
    fresh.update()
    assert outlines(fresh) == found


def test_what_is_remembered_is_bounded(index, monkeypatch):
    before = outlines(index)
    monkeypatch.setattr("indexer.reader._MANY_FILES", 0)
    assert outlines(index) == before
    assert len(index._reader._defined) <= 3


def test_a_large_directory_s_files_share_the_room(open_index, write):
    for n in range(30):
        write(f"many/m{n:02}.py", "\n\n".join(f"def function_{n}_{k}(value): ..." for k in range(1 + n)))
    write("many/__init__.py", "")
    index = open_index()
    index.update()
    shown = outlines(index, "main.py")["directory many"]
    assert MAX_CHARS - 100 < len(shown) <= MAX_CHARS
    counts = [part.count("\n") for part in shown.split("# m")[1:]]
    assert len(counts) == 30
    assert all(count >= min(max(counts) - 2, n) for n, count in enumerate(counts))


def test_a_large_file_s_outline_is_cut_at_a_line(open_index, write):
    write("big.py", "\n\n".join(f"def ConfigParser_{k}(value): ..." for k in range(900)))
    index = open_index()
    index.update()
    lines = outlines(index)["file big.py"].split("\n")
    assert lines == [f"def ConfigParser_{k}(value):" for k in range(len(lines))]
    assert MAX_CHARS - 40 < len("\n".join(lines)) <= MAX_CHARS


@pytest.mark.parametrize("extra", [0, 1])
def test_room_to_the_last_character(extra):
    lines = ["a" * 1_999, "b" * (2_000 + extra)]
    assert file_outline(lines) == "\n".join(lines[: 2 - extra])
    heads = {"x": [lines[0][4:]], "y": [lines[1][4:]]}
    shown = directory_outline(heads)
    assert ("# y" in shown, len(shown)) == ((False, 1_999) if extra else (True, MAX_CHARS))


def test_no_file_defines_anything():
    assert directory_outline({}) == directory_outline({"a.py": []}) == file_outline([]) == ""


def test_more_files_than_have_room_lose_the_last_ones_by_name():
    shown = directory_outline({f"m{n:03}.py": ["def f():", "def g():"] for n in range(500)})
    assert shown.count("# ") == shown.count("def f():") == (MAX_CHARS + 1) // len("# m000.py\ndef f():\n")
    assert "# m000.py" in shown
    assert "# m499.py" not in shown
