"""Where the imports of JavaScript and TypeScript lead in a repository: by `paths` and `baseUrl` of the nearest
`tsconfig.json` or `jsconfig.json`, by `imports`, `exports` and names of `package.json`.

Which files a configuration is meant for (`include`, `files`) is not asked; the nearest one above a file counts. What
the tables name is often compiled (`dist/a.js`): the source beside it (`src/a`) is a candidate as well.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from indexer.aliases import NO_ALIASES, Aliases, aliases_of, folders_above, inside, targets_in
from indexer.node_packages import BUILT_IN, SECTIONS, package_named
from indexer.patterns import Patterns

PACKAGE, PNPM = "package.json", "pnpm-workspace.yaml"
_CONFIGS = ("tsconfig.json", "jsconfig.json")  # of a folder the first that is there
_MOST_EXTENDED = 16  # configurations that one is made of
_MOST_GLOBS = 200
_HERE = "${configDir}"
_PNPM_ITEM = re.compile(r"[ \t]{0,40}-[ \t]{1,40}[\"']?([^\"'#\s]{1,200})")
_ENTRIES = ("source", "types", "typings", "module", "main")
_COMPILED = frozenset({"dist", "lib", "build", "out", "es", "esm", "cjs", "types"})

_Files = Mapping[str, Mapping[str, object]]  # path -> the object it holds


@dataclass(frozen=True)
class Leads:
    """Where an import may lead. `files`: posix paths from the root, with or without an ending; `below`: a folder.
    `is_settled`: whether it leads nowhere else in the repository."""

    files: tuple[str, ...] = ()
    below: str | None = None
    is_settled: bool = True


@dataclass(frozen=True)
class _Config:
    """`base`: the folder that names without a dot are told from, None for none."""

    aliases: Aliases = NO_ALIASES
    base: str | None = None


@dataclass(frozen=True)
class _Package:
    """`name`: "" for none."""

    name: str
    folder: str
    imports: Aliases
    exports: Aliases  # by subpath, "." the package itself
    installed: frozenset[str]  # names of those that it depends on


@dataclass(frozen=True)
class ScriptPaths:
    """`configs`, `packages`: by folder. `members`: packages of workspaces, by name."""

    configs: Mapping[str, _Config] = field(default_factory=dict)
    packages: Mapping[str, _Package] = field(default_factory=dict)
    members: Mapping[str, _Package] = field(default_factory=dict)

    def leads(self, told: str, from_folder: str) -> Leads:
        """Where an import that is not relative leads in a file of some folder."""
        above = list(folders_above(from_folder))
        config = next((self.configs[folder] for folder in above if folder in self.configs), _Config())
        packages = [self.packages[folder] for folder in above if folder in self.packages]
        if files := config.aliases.targets(told):
            return Leads(_with_sources("", files))
        if packages and (files := packages[0].imports.targets(told)):
            return Leads(_with_sources(packages[0].folder, files))
        if member := self._member(told, packages):
            return Leads(_entries(member[1], member[0]), member[1].folder)
        files = tuple(target.replace("*", told) for target in config.aliases.any_name)
        if config.base is not None:
            files = (*files, posixpath.join(config.base, told))
        name = package_named(told)
        is_outside = name in BUILT_IN or any(name in package.installed for package in packages)
        return Leads(files, is_settled=is_outside)

    def _member(self, told: str, above: Sequence[_Package]) -> tuple[str, _Package] | None:
        """(what is imported of it, "." for all; the package)."""
        name = package_named(told)
        found = above[0] if above and above[0].name == name else self.members.get(name)
        return (f".{told[len(name) :]}", found) if found else None


def read_scripts(objects: _Files, workspaces: Mapping[str, str]) -> ScriptPaths:
    """`objects`: what is in files of JSON, by path; `workspaces`: texts of `pnpm-workspace.yaml`, by folder."""
    packages = {
        path.rpartition("/")[0]: _package(path.rpartition("/")[0], about)
        for path, about in objects.items()
        if path.rpartition("/")[2] == PACKAGE
    }
    members = dict(_members(packages, objects, workspaces))
    configs: dict[str, _Config] = {}
    for name in _CONFIGS:
        for path in objects:
            folder, _, file = path.rpartition("/")
            if file == name and folder not in configs:
                configs[folder] = _config(path, objects, members)
    return ScriptPaths(configs, packages, members)


def _config(path: str, objects: _Files, members: Mapping[str, _Package]) -> _Config:
    """With what it extends; where nothing is said of paths, as in what it refers to (`tsconfig.app.json`)."""
    home = path.rpartition("/")[0]
    found = _extended(path, home, objects, members, [])
    if found.aliases is NO_ALIASES and found.base is None:
        references = objects[path].get("references")
        for told in references[:_MOST_EXTENDED] if isinstance(references, list) else ():
            other = inside(home, str(told.get("path", ""))) if isinstance(told, dict) else None
            other = next((one for one in (other, f"{other}/tsconfig.json") if one in objects), None)
            if other and other.rpartition("/")[0] == home:
                more = _extended(other, home, objects, members, [])
                if more.aliases is not NO_ALIASES or more.base is not None:
                    return more
    return found


def _extended(
    path: str, home: str, objects: _Files, members: Mapping[str, _Package], seen: list[str]
) -> _Config:
    """A configuration as the one in `home` has it; `seen`: what it is made of so far, so that there are no circles."""
    seen.append(path)
    about, folder = objects[path], path.rpartition("/")[0]
    found = _Config()
    for told in targets_in(about.get("extends")):
        other = _extends(told, folder, objects, members)
        if other and other not in seen and len(seen) < _MOST_EXTENDED:
            above = _extended(other, home, objects, members, seen)
            found = _Config(
                found.aliases if above.aliases is NO_ALIASES else above.aliases,
                found.base if above.base is None else above.base,
            )
    options = about.get("compilerOptions")
    if not isinstance(options, dict):
        return found
    base = found.base
    if isinstance(options.get("baseUrl"), str):
        base = _placed(folder, home, options["baseUrl"])
    if not isinstance(options.get("paths"), dict):
        return _Config(found.aliases, base)
    paths = {
        name: [one.replace(_HERE, ".") if one.startswith(_HERE) else one for one in targets_in(told)]
        for name, told in options["paths"].items()
    }
    is_here = any(_HERE in one for told in options["paths"].values() for one in targets_in(told))
    told_from = folder if base is None else base
    return _Config(aliases_of(paths, home if is_here else told_from), base)


def _placed(folder: str, home: str, path: str) -> str | None:
    return inside(home, path.replace(_HERE, ".")) if path.startswith(_HERE) else inside(folder, path)


def extended_by(path: str, about: Mapping[str, object]) -> list[str]:
    """Paths of files that may be what a configuration extends, as far as it tells them by a path."""
    folder = path.rpartition("/")[0]
    places = [inside(folder, one) for one in targets_in(about.get("extends")) if one.startswith(".")]
    return [named for place in places if place for named in _with_endings(place)]


def _extends(told: str, folder: str, objects: _Files, members: Mapping[str, _Package]) -> str | None:
    """The path of what a configuration extends, where the repository has it."""
    if told.startswith("."):
        place = inside(folder, told)
    else:
        name = package_named(told)
        member = members.get(name)
        place = posixpath.join(member.folder, told[len(name) :].strip("/")) if member else None
    return next((one for one in _with_endings(place) if one in objects), None) if place else None


def _with_endings(place: str) -> tuple[str, ...]:
    return place, f"{place}.json", f"{place}/tsconfig.json"


def _package(folder: str, about: Mapping[str, object]) -> _Package:
    told = about.get("exports")
    has_paths = isinstance(told, dict) and any(str(name).startswith(".") for name in told)
    exports = told if has_paths else {".": told}
    entries = [about.get(name) for name in _ENTRIES]
    if isinstance(exports, dict) and not exports.get("."):
        exports = {**exports, ".": [one for one in entries if isinstance(one, str)]}
    installed = (about.get(section) for section in SECTIONS)
    names = frozenset(str(name) for table in installed if isinstance(table, dict) for name in table)
    imports = aliases_of(about.get("imports"), folder)
    return _Package(str(about.get("name", "")), folder, imports, aliases_of(exports, folder), names)


def _members(
    packages: Mapping[str, _Package], objects: _Files, workspaces: Mapping[str, str]
) -> Iterator[tuple[str, _Package]]:
    """Name and package of all that workspaces take in; of two of one name the one nearest to the root."""
    globs = {
        path.rpartition("/")[0]: _globs(about.get("workspaces"))
        for path, about in objects.items()
        if path.rpartition("/")[2] == PACKAGE and about.get("workspaces")
    }
    globs |= {folder: _pnpm_globs(text) for folder, text in workspaces.items()}
    patterns = {folder: Patterns(map(_as_rule, told[:_MOST_GLOBS])) for folder, told in globs.items()}
    for folder in sorted(packages, key=lambda one: (-one.count("/"), one), reverse=True):
        package = packages[folder]
        above = next((one for one in folders_above(folder) if one in patterns and one != folder), None)
        if above is not None and package.name:
            path = folder[len(above) :].strip("/").encode("utf-8", "replace")
            if patterns[above].verdict(path, True):
                yield package.name, package


def _globs(told: object) -> Sequence[str]:
    listed = told.get("packages") if isinstance(told, dict) else told
    return [str(one) for one in listed] if isinstance(listed, list) else []


def _pnpm_globs(text: str) -> Sequence[str]:
    """The list below `packages:`."""
    globs: list[str] = []
    lines = text.split("\n")
    start = next((row for row, line in enumerate(lines) if line.startswith("packages:")), len(lines))
    for line in lines[start + 1 :]:
        if item := _PNPM_ITEM.match(line):
            globs.append(item[1])
        elif line.strip() and not line.lstrip().startswith("#"):
            break
    return globs


def _as_rule(glob: str) -> bytes:
    """As a line of an ignore file, which matches the same folders."""
    no, path = ("!", glob[1:]) if glob.startswith("!") else ("", glob)
    return f"{no}/{path.removeprefix('./').strip('/')}".encode("utf-8", "replace")


def _entries(package: _Package, subpath: str) -> tuple[str, ...]:
    """Files of a package that an import of it may mean."""
    inner = subpath.removeprefix(".").strip("/")
    guesses = [inner or "index", f"src/{inner or 'index'}"]
    told = _with_sources(package.folder, package.exports.targets(subpath))
    return (*told, *(posixpath.join(package.folder, one) for one in guesses))


def _with_sources(folder: str, targets: Sequence[str]) -> tuple[str, ...]:
    """Targets, and of what was compiled its source."""
    found = list(targets)
    for target in targets:
        inner = target[len(folder) :].strip("/").split("/")
        rest = [*inner]
        while len(rest) > 1 and rest[0] in _COMPILED:
            rest = rest[1:]
        if rest != inner:
            found.append(posixpath.join(folder, "src", *rest))
    return tuple(found)
