"""One name, one meaning: no two classes of the project are called the same."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("lsp_server", "indexer", "model")

# Class -> why two files define it.
SHARED = {
    "Lines": "model/repository.py asks for what indexer/line_index.py is",
    "LinePlace": "model/repository.py asks for what indexer/line_index.py is",
}


def homes() -> dict[str, list[str]]:
    """Class name -> the files that define one, nested ones and those inside of functions too."""
    found = defaultdict(list)
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    found[node.name].append(file.relative_to(ROOT).as_posix())
    return found


def test_a_class_name_has_one_meaning() -> None:
    assert {name: files for name, files in homes().items() if len(files) > 1 and name not in SHARED} == {}


def test_the_exceptions_are_what_they_say() -> None:
    found = homes()

    assert {name for name in SHARED if len(found[name]) < 2} == set()
    for name, reason in SHARED.items():
        assert all(file in reason for file in found[name])
