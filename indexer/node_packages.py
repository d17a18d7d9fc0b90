"""Packages of npm: what JavaScript and TypeScript import, and where `node_modules` has it.

A package is read where a `package.json` of the repository names it. Declarations come first: they are what a signature
is; then sources, and never what a minifier made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from indexer import lists
from indexer.installed import Package, PackageFiles
from indexer.manifests import folder_within, manifests, text_of

SOURCES = PackageFiles(
    tiers=((".d.ts", ".d.mts", ".d.cts"), (".ts", ".tsx", ".mts", ".cts"), (".js", ".mjs", ".cjs", ".jsx")),
    skipped=frozenset(lists.load("node_skipped")),
    without=(".min.js", ".min.mjs", ".min.cjs", ".bundle.js", ".umd.js"),
    judged=True,
)
SECTIONS = ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies")
_IMPORT = re.compile(r"\b(?:from|import|require)[ \t]{0,8}\(?[ \t]{0,8}[\"']([^\"'\s]{1,214})[\"']")
_NAME = re.compile(r"(?:@[A-Za-z0-9_~-][\w.~-]{0,100}/)?[A-Za-z0-9_~-][\w.~-]{0,100}")
BUILT_IN = frozenset(lists.load("node_modules"))
_FOLDER = "node_modules"
_VERSION_CHARS = 100


def imported(text: str) -> frozenset[str]:
    """Names of the packages that a file imports; `node` for what comes with it."""
    found = (_package(specifier) for specifier in _IMPORT.findall(text))
    return frozenset(name for name in found if name)


def installed(root: Path, names: Iterable[str]) -> dict[str, Package]:
    """Those of some names that a `package.json` names and `node_modules` has, with the types that others wrote."""
    folders = manifests(root, "package.json")
    declared = {name for folder in folders for name in _declared(text_of(root, folder, "package.json"))}
    found: dict[str, Package] = {}
    for name in names:
        typed = _types(name)
        wanted = [one for one in (name, typed) if one in declared and _NAME.fullmatch(one)]
        places = (_place(root, folder, one) for one in wanted for folder in folders)
        packages = [package for package in places if package is not None]
        with_types = [package for package in packages if next(package.files(), "").endswith(SOURCES.tiers[0])]
        if packages:
            found[name] = (with_types or packages)[0]
    return found


def package_named(specifier: str) -> str:
    """What a specifier says to be a package: its first part, with the scope in front; "node" for `node:fs`."""
    parts = specifier.split("/")
    named = parts[: 2 if specifier.startswith("@") else 1]
    return "node" if specifier.startswith("node:") else "/".join(named)


def _package(specifier: str) -> str:
    """The package of a specifier, "" for a file."""
    name = package_named(specifier)
    if name in BUILT_IN:
        return "node"
    return name if _NAME.fullmatch(name) else ""


def _types(name: str) -> str:
    return f"@types/{name.removeprefix('@').replace('/', '__')}"


def _place(root: Path, folder: str, name: str) -> Package | None:
    """A package beside a `package.json`: in `node_modules`, or where a link in that leads to in another one of the
    repository's (pnpm). What is linked from elsewhere in the repository is indexed already."""
    place = folder_within(root, f"{folder}/{_FOLDER}/{name}" if folder else f"{_FOLDER}/{name}")
    if place is None or _FOLDER not in place.relative_to(root.resolve()).parts:
        return None
    version = _read(text_of(place, "", "package.json")).get("version")
    return Package(
        f"npm.{name}", version[:_VERSION_CHARS] if isinstance(version, str) else "", place, SOURCES
    )


def _declared(manifest: str) -> Iterator[str]:
    about = _read(manifest)
    for section in SECTIONS:
        names = about.get(section)
        yield from names if isinstance(names, dict) else ()


def _read(text: str) -> dict[str, object]:
    try:
        about = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return about if isinstance(about, dict) else {}
