"""Modules of Go: what files import, and where `vendor/` or the module cache has it, by the version in `go.mod`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from indexer.installed import Package, PackageFiles
from indexer.manifests import folder_within, is_folder, manifests, text_of

SOURCES = PackageFiles(
    tiers=((".go",),),
    skipped=frozenset(["testdata", "vendor", "examples", "example", "_examples", "docs", "cmd"]),
    without=("_test.go",),
    judged=True,
)
_ONE = re.compile(r'^import[ \t]+(?:[\w.]{1,100}[ \t]+)?"([^"\s]{1,300})"', re.MULTILINE)
_BLOCK = re.compile(r"^import[ \t]{0,8}\(", re.MULTILINE)
_MOST_BLOCKS, _BLOCK_CHARS = 4, 20_000  # of a file
_QUOTED = re.compile(r'"([^"\s]{1,300})"')
_REQUIRED = re.compile(r"^[ \t]*(?:require[ \t]+)?([^\s()=]{1,300})[ \t]+(v[^\s]{1,100})", re.MULTILINE)
_ELEMENT = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~+-]{0,100}")
_VERSION = re.compile(r"v\d[A-Za-z0-9.+-]{0,90}")


def imported(text: str) -> frozenset[str]:
    """Import paths that begin with a host: those of modules."""
    starts = (begun.end() for begun in islice(_BLOCK.finditer(text), _MOST_BLOCKS))
    blocks = "\n".join(text[start : start + _BLOCK_CHARS].partition(")")[0] for start in starts)
    found = {*_ONE.findall(text), *_QUOTED.findall(blocks)}
    return frozenset(path for path in found if "." in path.partition("/")[0] and _is_path(path))


def installed(root: Path, names: Iterable[str]) -> dict[str, Package]:
    """The modules of some import paths that a `go.mod` requires and that are there. Of `replace` nothing is followed:
    it may name any folder."""
    found: dict[str, Package] = {}
    modules = {folder: _required(text_of(root, folder, "go.mod")) for folder in manifests(root, "go.mod")}
    for path in names:
        for folder, required in modules.items():
            module = next((one for one in _above(path) if one in required), None)
            place = _place(root, folder, module, required[module]) if module else None
            if place is not None and module:
                found[path] = Package(f"go.{module}", required[module], place, SOURCES)
                break
    return found


def _place(root: Path, folder: str, module: str, version: str) -> Path | None:
    vendored = f"vendor/{module}"
    within = folder_within(root, f"{folder}/{vendored}" if folder else vendored)
    if within is not None and within == root.resolve() / folder / vendored:  # through no link
        return within
    cached = _module_cache().joinpath(*_escaped(f"{module}@{version}").split("/"))
    return cached if is_folder(cached) else None


def _module_cache() -> Path:
    path = os.environ.get("GOPATH", "").partition(os.pathsep)[0]
    cache = os.environ.get("GOMODCACHE")
    return Path(cache) if cache else (Path(path) if path else Path.home() / "go") / "pkg" / "mod"


def _required(text: str) -> Mapping[str, str]:
    """Versions by module, as far as both are what they say."""
    found = {module.strip('"'): version for module, version in _REQUIRED.findall(text)}
    return {module: v for module, v in found.items() if _is_path(module) and _VERSION.fullmatch(v)}


def _above(path: str) -> Iterator[str]:
    """An import path and the paths above it: one of them is its module's."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _is_path(path: str) -> bool:
    return all(_ELEMENT.fullmatch(part) for part in path.split("/"))


def _escaped(path: str) -> str:
    """As the cache spells it: file systems may not tell capitals apart."""
    return "".join(f"!{char.lower()}" if char.isupper() else char for char in path)
