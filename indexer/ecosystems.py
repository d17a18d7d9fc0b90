"""What files import, in each language whose packages can be read, and where those packages lie.

A name is told with its ecosystem in front (`npm:react`), Python's as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from indexer import go_packages, installed, node_packages, rust_packages
from indexer.installed import Package

MAX_PACKAGES = 8  # of a workspace and an ecosystem, a standard library among them


@dataclass(frozen=True)
class Ecosystem:
    """`imported`: names in a file's text; `found`: where some names lie beside a repository."""

    prefix: str
    suffixes: frozenset[str]
    imported: Callable[[str], frozenset[str]]
    found: Callable[[Path, Iterable[str]], Mapping[str, Package]]


def _in_site_packages(root: Path, names: Iterable[str]) -> Mapping[str, Package]:
    return installed.installed(installed.site_packages(root), names)


PYTHON = Ecosystem("", frozenset({".py"}), installed.imported, _in_site_packages)
OTHERS = (
    Ecosystem(
        "npm:",
        frozenset({".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".mts", ".cts"}),
        node_packages.imported,
        node_packages.installed,
    ),
    Ecosystem("go:", frozenset({".go"}), go_packages.imported, go_packages.installed),
    Ecosystem("crate:", frozenset({".rs"}), rust_packages.imported, rust_packages.installed),
)


def imports_of(path: str, text: str) -> frozenset[str]:
    """What a file imports, each with its ecosystem in front."""
    suffix = PurePosixPath(path).suffix
    found = next((one for one in (PYTHON, *OTHERS) if suffix in one.suffixes), None)
    return frozenset(found.prefix + name for name in found.imported(text)) if found else frozenset()


def packages_for(root: Path, imports: Counter[str], standard_library: Callable[[], Package]) -> list[Package]:
    """What is installed of what is imported, the most imported of each ecosystem first; Python's standard library
    unless only others import anything."""
    packages: list[Package] = []
    for ecosystem in OTHERS:
        names = {name: n for name, n in _of(ecosystem, imports).items() if n}
        packages += _ranked(ecosystem.found(root, names), names, MAX_PACKAGES) if names else []
    own = {name: n for name, n in imports.items() if ":" not in name}
    if own or not imports:
        found = _ranked(PYTHON.found(root, own), own, MAX_PACKAGES - 1)
        packages = [standard_library(), *found, *packages]
    return [package for package in packages if package.place.exists()]


def _of(ecosystem: Ecosystem, imports: Mapping[str, int]) -> dict[str, int]:
    begin = ecosystem.prefix
    return {name.removeprefix(begin): n for name, n in imports.items() if name.startswith(begin)}


def _ranked(found: Mapping[str, Package], imports: Mapping[str, int], most: int) -> list[Package]:
    """Those that are imported most, each once."""
    names = sorted(found, key=lambda name: -imports[name])
    return list(dict.fromkeys(found[name] for name in names))[:most]
