"""Who may import whom, and how long files and functions may be: read from the source, not from running it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.languages import LANGUAGES

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("lsp_server", "indexer", "model")
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 40
MAX_UNEXPLAINED_LINES = 8

# package (or subpackage) -> what of ours it may import
ALLOWED = {
    "lsp_server": {"lsp_server", "indexer", "model"},
    "indexer": {"indexer"},
    "model": {"model"},
    "model.training": {"model", "model.training", "model.evaluation", "indexer"},
    "model.evaluation": {"model", "model.evaluation", "indexer"},
}
# outside package -> where alone it may be imported
CONFINED = {
    "torch": ("model/engines/torch/", "model/training/", "model/evaluation/"),
    "onnx": ("model/engines/onnx/",),
    "onnxruntime": ("model/engines/onnx/",),
    "transformers": ("model/training/", "model/evaluation/"),
    "tokenizers": ("model/vocabulary.py", "model/training/"),
    "safetensors": ("model/checkpoint/", "model/engines/torch/", "model/training/", "indexer/team/pack.py"),
    "obstore": ("indexer/team/bucket.py",),
    "huggingface_hub": ("model/checkpoint/",),
    "httpx2": ("model/engines/remote/",),
    "gguf": ("model/training/",),
    "matplotlib": ("model/training/", "model/evaluation/"),
    "rapidfuzz": ("model/evaluation/",),
    "platformdirs": ("indexer/cache_folder.py", "model/privacy.py"),
    "hnswlib": ("indexer/hnsw.py",),
    "usearch": ("indexer/mapped_graph.py",),
    "ray": ("lsp_server/ray_actors.py",),
    "faiss": (),  # beside usearch in one process it dies
    "watchdog": ("indexer/watcher.py",),
    "tree_sitter": (
        "indexer/captures.py",
        "indexer/import_places.py",
        "indexer/outline.py",
        "indexer/outliner.py",
        "indexer/parsing.py",
        "indexer/scopes.py",
    ),
    **dict.fromkeys((language.grammar.partition(":")[0] for language in LANGUAGES), ("indexer/parsing.py",)),
    "pygls": ("lsp_server/",),
    "lsprotocol": ("lsp_server/",),
}
# Longer on purpose, each with its reason.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}


def sources() -> list[Path]:
    return [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(file: Path, *, also_types: bool = False) -> Iterator[str]:
    """Full names of what a file imports, also inside functions; for type checkers only where `also_types`."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    skipped = {
        node
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING" and not also_types
        for statement in branch.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(file)}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from names
            if not all(is_module(name) for name in names):
                yield node.module or ""
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module":
            yield from (str(part.value) for part in node.args[:1] if isinstance(part, ast.Constant))


def is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def home_of(module: str) -> str:
    """The entry of ALLOWED that a module belongs to, "" for others' packages."""
    parts = module.split(".")
    two = ".".join(parts[:2])
    return two if two in ALLOWED else parts[0] if parts[0] in ALLOWED else ""


@pytest.mark.parametrize("file", sources(), ids=name_of)
def test_imports_run_one_way(file: Path) -> None:
    here = home_of(module_of(file))
    foreign = {
        module for module in imported(file) if home_of(module) and home_of(module) not in ALLOWED[here]
    }

    assert not foreign, f"{here} must not import {sorted(foreign)}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions and for type checkers count: a circle that only a checker sees is one for readers."""
    modules = {module_of(file): file for file in sources()}
    imports = {
        name: {found for found in imported(file, also_types=True) if found in modules and found != name}
        for name, file in modules.items()
    }
    while leaves := {name for name, found in imports.items() if not found & imports.keys()}:
        imports = {name: found for name, found in imports.items() if name not in leaves}

    assert not imports, "these import each other: " + ", ".join(sorted(imports))


@pytest.mark.parametrize("file", sources(), ids=name_of)
def test_each_library_has_its_place(file: Path) -> None:
    name = name_of(file)
    misplaced = {
        module for module in imported(file) for library in [module.split(".")[0]]
        if library in CONFINED and not name.startswith(CONFINED[library])
    }  # fmt: skip

    assert not misplaced


@pytest.mark.parametrize(
    "module", ["lsp_server.server", "lsp_server.cli", "lsp_server.commands", "lsp_server.doctor"]
)
def test_no_engine_is_imported_with_the_server(module: str) -> None:
    engines = ("torch", "transformers", "onnxruntime")
    code = f"import sys, {module}; sys.exit(any(name in sys.modules for name in {engines}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False, capture_output=True
    )

    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("file", sources(), ids=name_of)
def test_files_and_functions_stay_short(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    name = name_of(file)
    if name not in LONG_FILES:
        assert text.count("\n") <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and f"{name}:{node.name}" not in LONG_FUNCTIONS
        ):
            assert (node.end_lineno or 0) - node.lineno + 1 <= MAX_FUNCTION_LINES, f"{node.name} is too long"


def functions(tree: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Public functions and public methods of public classes; what stands inside of functions is nobody else's."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from functions(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node


@pytest.mark.parametrize("file", sources(), ids=name_of)
def test_public_functions_that_are_not_short_say_what_they_do(file: Path) -> None:
    silent = [
        node.name
        for node in functions(ast.parse(file.read_text(encoding="utf-8")))
        if (node.end_lineno or 0) - node.lineno + 1 > MAX_UNEXPLAINED_LINES and not ast.get_docstring(node)
    ]

    assert not silent


@pytest.mark.parametrize("file", sources(), ids=name_of)
def test_a_condition_in_an_expression_holds_no_other(file: Path) -> None:
    nested = [
        node.lineno
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.IfExp)
        and any(isinstance(part, ast.IfExp) for part in ast.iter_child_nodes(node))
    ]

    assert not nested, f"nested ternaries at lines {nested}"


def test_the_lists_of_exceptions_name_what_exists() -> None:
    names = {name_of(file) for file in sources()}

    assert LONG_FILES.keys() <= names
    assert {entry.partition(":")[0] for entry in LONG_FUNCTIONS} <= names
