"""Crates of Rust: what files use, and where `vendor/` or Cargo's registry cache has it, by `Cargo.toml` and
`Cargo.lock`."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from indexer.installed import Package, PackageFiles
from indexer.manifests import folder_within, is_folder, manifests, text_of

SOURCES = PackageFiles(
    tiers=((".rs",),),
    skipped=frozenset(["tests", "test", "benches", "examples", "target", "fuzz", "docs", "ci"]),
    judged=True,
)
_SECTIONS = ("dependencies", "dev-dependencies", "build-dependencies")
_USE = re.compile(
    r"^[ \t]*(?:pub(?:\([^)\n]{0,40}\))?[ \t]+)?(?:use|extern[ \t]+crate)[ \t]+(?:::)?([A-Za-z_]\w{0,100})",
    re.MULTILINE,
)
_OWN = frozenset({"crate", "self", "super", "std", "core", "alloc"})
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VERSION = re.compile(r"\d[A-Za-z0-9.+-]{0,90}")
_MOST_DOTS = 200  # of a line
_MAX_REGISTRIES, _MAX_CRATES = 8, 20_000  # folders in Cargo's cache that are looked at


def imported(text: str) -> frozenset[str]:
    """First names of what a file uses."""
    return frozenset(_USE.findall(text)) - _OWN


def installed(root: Path, names: Iterable[str]) -> dict[str, Package]:
    """The crates of some names that a `Cargo.toml` depends on and that are there."""
    folders = manifests(root, "Cargo.toml")
    crates = {
        name: crate for folder in folders for name, crate in _declared(text_of(root, folder, "Cargo.toml"))
    }
    locked = [*_locked(root, manifests(root, "Cargo.lock"))]
    registries = _registries()
    found: dict[str, Package] = {}
    for name in names:
        crate = crates.get(name)
        versions = sorted((v for other, v in locked if other == crate), key=_order, reverse=True)
        place = (
            _vendored(root, folders, crate, versions) or _cached(registries, crate, versions)
            if crate
            else None
        )
        if crate and place is not None:
            found[name] = Package(f"crate.{crate}", place.name.removeprefix(f"{crate}-"), place, SOURCES)
    return found


def _vendored(root: Path, folders: Iterable[str], crate: str, versions: Iterable[str]) -> Path | None:
    for folder in folders:
        for name in (*(f"{crate}-{version}" for version in versions), crate):
            path = f"{folder}/vendor/{name}" if folder else f"vendor/{name}"
            place = folder_within(root, path)
            if place is not None and place == root.resolve() / path:  # through no link
                return place
    return None


def _cached(registries: Mapping[Path, list[str]], crate: str, versions: Iterable[str]) -> Path | None:
    """Of the version that is locked; where none is, the newest."""
    for registry, crates in registries.items():
        there = [
            one for one in crates if one.startswith(f"{crate}-") and _VERSION.fullmatch(one[len(crate) + 1 :])
        ]
        wanted = [f"{crate}-{version}" for version in versions]
        newest = sorted(there, key=lambda one: _order(one[len(crate) + 1 :]), reverse=True)
        for one in [one for one in wanted if one in there] if wanted else newest:
            if is_folder(registry / one):
                return registry / one
    return None


def _registries() -> Mapping[Path, list[str]]:
    home = os.environ.get("CARGO_HOME")
    sources = (Path(home) if home else Path.home() / ".cargo") / "registry" / "src"
    return {sources / name: _names(sources / name, _MAX_CRATES) for name in _names(sources, _MAX_REGISTRIES)}


def _names(folder: Path, most: int) -> list[str]:
    try:
        with os.scandir(folder) as listing:
            return sorted(entry.name for entry in islice(listing, most))
    except OSError:
        return []


def _declared(manifest: str) -> Iterator[tuple[str, str]]:
    """(name in the code, crate) of each dependency; of those that lie in a folder none: it may be any."""
    about = _read(manifest)
    workspace, targets = about.get("workspace"), about.get("target")
    tables = [about, workspace, *(targets.values() if isinstance(targets, dict) else ())]
    for table in tables:
        for section in _SECTIONS if isinstance(table, dict) else ():
            wanted = table.get(section)
            for name, about_it in wanted.items() if isinstance(wanted, dict) else ():
                told = about_it if isinstance(about_it, dict) else {}
                crate = told.get("package", name)
                if "path" not in told and isinstance(crate, str) and _NAME.fullmatch(crate):
                    yield name.replace("-", "_"), crate


def _locked(root: Path, folders: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(crate, version) of what comes from a registry."""
    for folder in folders:
        packages = _read(text_of(root, folder, "Cargo.lock")).get("package")
        for one in packages if isinstance(packages, list) else ():
            about = one if isinstance(one, dict) else {}
            name, version, source = (str(about.get(key, "")) for key in ("name", "version", "source"))
            is_registry = source.startswith("registry+")
            if is_registry and _NAME.fullmatch(name) and _VERSION.fullmatch(version):
                yield name, version


def _read(text: str) -> Mapping[str, object]:
    if any(line.count(".") > _MOST_DOTS for line in text.split("\n")):
        return {}  # a key of many parts takes their square to read
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return {}


def _order(version: str) -> tuple[list[int], bool]:
    """Later ones are larger, what comes before a release is smaller than it."""
    numbers, _, before = version.partition("+")[0].partition("-")
    return [int(part) for part in numbers.split(".") if part.isdecimal() and len(part) < 10], not before
