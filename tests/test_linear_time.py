"""No regular expression takes more than linear time, whatever text it sees.

Every one that serves is in a table here: a new one fails until somebody has thought about it.
"""

from __future__ import annotations

import ast
import importlib
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SMALL, LARGE, HUGE = 1_500, 6_000, 60_000  # characters


@dataclass(frozen=True)
class Use:
    """How an expression is used: by which method, and on how many characters at most."""

    method: str = "finditer"
    most: int = HUGE


NO_TEXT = Use(most=0)  # sees names, settings and the like, never a document

USES = {
    "indexer/indented_blocks.py:_DEFINITION": Use("match"),
    "indexer/caches.py:_BLOCKS": NO_TEXT,
    "indexer/caches.py:_REPOSITORY": NO_TEXT,
    "indexer/caches.py:_SHARED": NO_TEXT,
    "indexer/caches.py:_STORE": NO_TEXT,
    "indexer/team/bucket.py:_URL": NO_TEXT,
    "indexer/team/refs.py:_SHA256": NO_TEXT,
    "indexer/team/refs.py:_STRANGE": NO_TEXT,
    "indexer/files.py:_GENERATED": Use(),
    "indexer/go_packages.py:_BLOCK": Use(),
    "indexer/go_packages.py:_ELEMENT": Use("fullmatch"),
    "indexer/go_packages.py:_ONE": Use(),
    "indexer/go_packages.py:_QUOTED": Use(),
    "indexer/go_packages.py:_REQUIRED": Use(),
    "indexer/go_packages.py:_VERSION": Use("fullmatch"),
    "indexer/go_paths.py:_MODULE": Use(),
    "indexer/go_paths.py:_REPLACED": Use(),
    "indexer/identifiers.py:_IDENTIFIER": Use(),
    "indexer/identifiers.py:_PART": Use(),
    "indexer/installed.py:_IMPORT": Use(),
    "indexer/jsonc.py:_COMMENT": Use(),
    "indexer/jsonc.py:_LAST_COMMA": Use(),
    "indexer/module_maps.py:_CONFIG": Use("fullmatch"),
    "indexer/node_packages.py:_IMPORT": Use(),
    "indexer/node_packages.py:_NAME": Use("fullmatch"),
    "indexer/package_cache.py:_HASH": NO_TEXT,
    "indexer/patterns.py:_class": NO_TEXT,
    "indexer/patterns.py:_joined": NO_TEXT,  # what a repository's ignore files become: tests/indexer/test_patterns.py
    "indexer/pins.py:_IS_NAME": Use("fullmatch"),
    "indexer/pins.py:_IS_VERSION": Use("fullmatch"),
    "indexer/pins.py:_LOCKED": Use(),
    "indexer/pins.py:_PINNED": Use(),
    "indexer/pins.py:_SEPARATORS": Use(most=100),
    "indexer/rust_packages.py:_NAME": Use("fullmatch"),
    "indexer/rust_packages.py:_USE": Use(),
    "indexer/rust_packages.py:_VERSION": Use("fullmatch"),
    "indexer/scanning.py:_inner_marks": NO_TEXT,  # one for each kind of string: tests/indexer/test_scanning.py
    "indexer/scanning.py:_marks": NO_TEXT,  # one for each language: there, too
    "indexer/modules.py:_ECMA": Use(),
    "indexer/modules.py:_GO": Use(),
    "indexer/modules.py:_INCLUDE": Use(),
    "indexer/modules.py:_JAVA": Use(),
    "indexer/modules.py:_PYTHON": Use(),
    "indexer/modules.py:_RUST": Use(),
    "indexer/modules.py:_RUST_INSIDE": Use("findall", 500),
    "indexer/script_paths.py:_PNPM_ITEM": Use("match"),
    "indexer/secret_contents.py:_ACCESS_KEY": Use("match"),
    "indexer/secret_contents.py:_ACCESS_SECRET": Use(most=1_000),
    "indexer/secret_contents.py:_BODY": Use("search", most=1_000),
    "indexer/secret_contents.py:_EXAMPLES": Use("search"),
    "indexer/secret_contents.py:_HEADER": Use("search", most=60),
    "indexer/secret_contents.py:_HEADERS": Use("search", most=60),
    "indexer/secret_contents.py:_kind": NO_TEXT,  # many: tests/indexer/test_secret_contents.py
    "indexer/secret_names.py:_BEFORE": Use("match"),
    "indexer/secret_names.py:_BEHIND": Use("search", most=4_096),
    "indexer/signatures.py:_IS_NAME": Use("fullmatch"),
    "indexer/signatures.py:_IS_PATH": Use("fullmatch", most=400),
    "indexer/soundness.py:_DEFINITION": Use("match"),
    "indexer/soundness.py:_MARK": Use(),
    "indexer/soundness.py:_WORD": Use(),
    "indexer/package_headers.py:_ATTRIBUTE": Use(),
    "indexer/package_headers.py:_DEFINED": Use(),
    "indexer/package_headers.py:_NAME_BEFORE": Use("search", most=64),
    "indexer/package_headers.py:_WORD": Use(),
    "lsp_server/edits/tokens.py:_TOKEN": Use(),
    "lsp_server/closers.py:TAG_END": Use("search", most=400),
    "lsp_server/commands.py:_NUMBER": Use("fullmatch"),
    "lsp_server/framing.py:_ESCAPED_SURROGATE": Use("search"),
    "lsp_server/framing.py:_LENGTH": Use("fullmatch"),
    "lsp_server/framing.py:_SURROGATE": Use(),
    "lsp_server/gates.py:CODE": Use(),
    "lsp_server/gates.py:DEFINES": Use("match"),
    "lsp_server/offers.py:NAME": Use(),
    "lsp_server/offers.py:PROSE": Use(most=4_000),
    "lsp_server/presentation.py:CLOSING_LINE": Use("fullmatch"),
    "lsp_server/presentation.py:NOT_CODE": Use(),
    "lsp_server/presentation.py:PATH_COMMENT": Use("match"),
    "model/assignments.py:_camel": NO_TEXT,
    "lsp_server/snapshot.py:WORD": Use("match"),
    "model/recall/cursor.py:NAME": Use(),
    "model/recall/cursor.py:TOKEN": Use(),
    "model/recall/renaming.py:_PART": Use(),
    "model/recall/renaming.py:apply": Use(),
    "model/names.py:_WORD": Use(),
    "model/blocks/parts.py:_BEGINS": Use(),
    "model/blocks/parts.py:_BEGINS_AT_4": Use(),
    "model/blocks/parts.py:_BEGINS_AT_8": Use(),
    "model/blocks/parts.py:_BEGINS_ANYWHERE": Use(),
    "model/checkpoint/finding.py:_HUB_ID": NO_TEXT,
    "model/checkpoint/hub_cache.py:_COMMIT": NO_TEXT,
    "model/checkpoint/hub_client.py:_BLOB": NO_TEXT,
    "model/checkpoint/hub_client.py:_COMMIT": NO_TEXT,
    "model/checkpoint/opening.py:verify_checksums": NO_TEXT,
    "model/vocabulary.py:_strange_characters": NO_TEXT,  # one class of characters: tests/model/test_vocabulary.py
}

BEGINNINGS = (
    "",
    "from ",
    "import ",
    "# ",
    "// path: ",
    '"',
    "'",
    "<|",
    "<\uff5c",
    "@",
    " ",
    "class ",
    "def ",
)
REPEATED = (
    *"aA_1./-#\"'`()<|\t\n\r\f\u0301\u05d0",
    *(
        " ",
        '\\"',
        "\\'",
        "\\",
        "ab ",
        "Aa",
        "a.",
        "./",
        "<|",
        "<|a",
        "<\uff5c",
        "| ",
        "# a",
        " #",
        "\n ",
        " \n",
    ),
    *("from ", "import ", "generated by ", "code generated ", "async def ", "\u200b", "\U0001f469\u200d"),
)
ENDS = ("", "!")


def expressions() -> Iterator[tuple[str, Any]]:
    """Name and pattern of every regular expression in what serves: `file:NAME`, or `file:function` inside of one."""
    for package in ("indexer", "lsp_server", "model"):
        for file in sorted((ROOT / package).rglob("*.py")):
            path = file.relative_to(ROOT).as_posix()
            if not path.startswith(("model/training/", "model/evaluation/")):
                yield from _in_file(path, ast.parse(file.read_text(encoding="utf-8")))


def _in_file(path: str, tree: ast.Module) -> Iterator[tuple[str, Any]]:
    owners: dict[ast.AST, str] = {}
    for node in ast.walk(tree):  # outer ones first, so that the innermost owner stays
        name = _name_of(node)
        if name:
            owners.update(dict.fromkeys(ast.walk(node), name))
    for node in ast.walk(tree):
        called = node.func if isinstance(node, ast.Call) else None
        if (
            isinstance(called, ast.Attribute)
            and ast.unparse(called.value) == "re"
            and called.attr != "escape"
        ):
            assert isinstance(node, ast.Call)
            yield f"{path}:{owners[node]}", _pattern(path, owners[node], node)


def _name_of(node: ast.AST) -> str:
    if isinstance(node, ast.FunctionDef):
        return node.name
    is_constant = (
        isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.col_offset == 0
    )
    return node.targets[0].id if is_constant else ""  # type: ignore[attr-defined]


def _pattern(path: str, owner: str, call: ast.Call) -> Any:
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    found = getattr(module, owner, None)
    if isinstance(found, re.Pattern):
        return found
    return re.compile(call.args[0].value) if isinstance(call.args[0], ast.Constant) else None


FOUND = dict(expressions())


def test_every_expression_is_in_the_table() -> None:
    assert sorted(FOUND) == sorted(USES)


@pytest.mark.parametrize("name", [name for name, use in USES.items() if use.most])
def test_an_expression_is_linear(name: str) -> None:
    pattern, use = FOUND[name], USES[name]
    assert pattern is not None
    for beginning in _that_matter(BEGINNINGS, pattern):
        for piece in REPEATED:
            for end in ENDS:
                check(pattern, use, beginning, piece, end)


def _that_matter(beginnings: Iterable[str], pattern: Any) -> Iterator[str]:
    """Those that an expression names, and none: another one is passed over, or is a repeated piece already."""
    named = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    plain = named.replace("\\", "")
    return (beginning for beginning in beginnings if any(word in plain for word in beginning.split() or [""]))


def check(pattern: Any, use: Use, beginning: str, piece: str, end: str) -> None:
    def seconds(size: int) -> float:
        text: Any = (beginning + piece * (size // len(piece)))[: use.most] + end
        return cpu_seconds(pattern, use.method, text.encode() if isinstance(pattern.pattern, bytes) else text)

    shown = (beginning, piece, end)
    if use.most < LARGE:  # by its bound, whatever it is below
        assert seconds(use.most) < 1.0, shown
        return
    small = seconds(SMALL)
    assert small < 0.1, shown
    if small > 0.003:
        assert seconds(LARGE) < 10 * small, shown  # 16 times as long is quadratic
    if not beginning and not end:
        assert seconds(HUGE) < 1.0, shown


def cpu_seconds(pattern: Any, method: str, text: Any) -> float:
    """Of this thread alone: other work on the machine does not count."""
    began = time.thread_time()
    found = getattr(pattern, method)(text)
    if method == "finditer":
        for _ in found:
            pass
    return time.thread_time() - began
