"""Which files the imports of a text name, in each language: a name is likelier defined in one of them.

An import says how a path ends, or the folder that files are in. Where a path begins is settled by build files: those of
JavaScript, TypeScript and Go are read (`ModuleMaps`), others are not. Relative ones are taken from the text's folder.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType

from indexer.languages import known_language, language_of
from indexer.module_maps import NO_MAPS, ModuleMaps

_READ_CHARS = 100_000  # from the beginning of a document: imports stand there
_PYTHON = re.compile(r"^[ \t]*(?:from[ \t]+\.*(\w[\w.]*)[ \t]+import|import[ \t]+([\w.]+))", re.M)
_ECMA = re.compile(r"""\b(?:from|import|require)[ \t]{0,9}\(?[ \t]{0,9}["']([^"'\n]{1,200})["']""")
_GO = re.compile(
    r'^[ \t]{0,40}(?:import[ \t]{1,9})?(?:[\w.]{1,80}[ \t]{1,9})?"([^"\n]{1,200})"[ \t;\r]{0,9}$', re.M
)
_JAVA = re.compile(r"^[ \t]{0,40}import[ \t]{1,9}(?:static[ \t]{1,9})?(\w[\w.]{0,199}\*?)", re.M)
_RUST = re.compile(
    r"^[ \t]{0,40}(?:pub(?:\([\w: ]{1,40}\))?[ \t]{1,9})?(use|mod)[ \t]{1,9}(\w[\w:]{0,199})(?:\{([^;]{0,500}))?",
    re.M,
)
_RUST_INSIDE = re.compile(r"\w[\w:]{0,199}")  # of the braces of a `use`
_INCLUDE = re.compile(r'^[ \t]{0,40}#[ \t]{0,9}include[ \t]{0,9}["<]([^">\n]{1,200})[">]', re.M)
_ALIASES = ("@/", "~/", "#/")  # what `paths` of a tsconfig.json mostly call the source folder
_MOST_IMPORTS = 400  # of one text that are followed
_ROOTS = ("crate", "self", "super", "std", "core", "alloc")  # first names of Rust's paths that are no file's


@dataclass(frozen=True)
class Imported:
    """What a text's imports name: the ends of modules ("/a/b" for a/b.py), and folders that files are in.

    `within`: import paths of folders, as Go has them: a folder of the repository is the end of one. Where build files
    tell more: `modules`, from the root on; `inside`, folders from the root on, for what is in them; `below`, for what
    is anywhere below them.
    """

    ends: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    modules: frozenset[str] = frozenset()
    inside: frozenset[str] = frozenset()
    below: tuple[str, ...] = ()

    def names(self, path: str) -> bool:
        """Whether a file of the repository is one of them."""
        folder, module = "/" + path.rpartition("/")[0], _module_of(path)
        return (
            module in self.modules
            or folder in self.inside
            or f"{folder}/".startswith(self.below)
            or module.endswith(self.ends)
            or folder.endswith(self.folders)
            or (len(folder) > 1 and any(told.endswith(folder) for told in self.within))
        )


def imported_by(text: str, path: str, maps: ModuleMaps = NO_MAPS) -> Imported:
    """What the imports of a text at a repository-relative path name; nothing where its language is not known."""
    known = known_language(language_of(path))
    read = _READERS.get(known.kin) if known else None
    return read(text[:_READ_CHARS], path.rpartition("/")[0], maps) if read else Imported()


def _python(text: str, _: str, maps: ModuleMaps) -> Imported:
    found = {match[1] or match[2] for match in _PYTHON.finditer(text)}
    return Imported(_ends(module.strip(".").replace(".", "/") for module in found))


def _ecma(text: str, folder: str, maps: ModuleMaps) -> Imported:
    modules: set[str] = set()
    ends: set[str] = set()
    below: set[str] = set()
    for told in {match[1] for match in islice(_ECMA.finditer(text), _MOST_IMPORTS)}:
        if told.startswith("."):
            modules.add(_ecma_module(posixpath.normpath(posixpath.join("/", folder, told))))
            continue
        leads = maps.scripts.leads(told, folder)
        modules.update(_ecma_module(posixpath.normpath(f"/{file}")) for file in leads.files)
        if leads.below is not None:
            below.add(f"/{leads.below}/".replace("//", "/"))
        if not leads.is_settled:
            ends.add(_ecma_module(told.removeprefix(told[:2]) if told[:2] in _ALIASES else told))
    return Imported(_ends(ends), modules=frozenset(modules), below=tuple(below))


def _ecma_module(told: str) -> str:
    """A path without what may be left out of it: the ending, and `index` at its end."""
    stem, dot, ending = told.rpartition(".")
    module = stem if dot and language_of(f"_.{ending}") != "text" else told
    return module.removesuffix(".d").removesuffix("/index") or "/"


def _go(text: str, folder: str, maps: ModuleMaps) -> Imported:
    inside: set[str] = set()
    unknown: set[str] = set()
    for told in {match[1] for match in islice(_GO.finditer(text), _MOST_IMPORTS)}:
        found = posixpath.join(folder, told) if told.startswith(".") else maps.go.folder_of(told, folder)
        if found is None:
            unknown.add(told)
        else:
            inside.add(posixpath.normpath(f"/{found}"))
    return Imported(within=_ends(unknown), inside=frozenset(inside))


def _java(text: str, _: str, maps: ModuleMaps) -> Imported:
    told = {match[1].replace(".", "/") for match in _JAVA.finditer(text)}
    classes = {one for one in told if not one.endswith("/*")}
    members = {one.rpartition("/")[0] for one in classes if one.count("/") > 1}  # of a static import
    return Imported(_ends(classes | members), _ends(one.removesuffix("/*") for one in told - classes))


def _rust(text: str, folder: str, maps: ModuleMaps) -> Imported:
    found: set[str] = set()
    for match in _RUST.finditer(text):
        names = [name for name in match[2].split("::") if name]
        if match[1] == "mod":
            found.add(posixpath.join(folder, names[0]))
            continue
        inner = names[1:]  # the first is the crate
        while inner and inner[0] in _ROOTS:
            inner = inner[1:]
        nested = (told.split("::") for told in _RUST_INSIDE.findall(match[3] or ""))
        for path in ([*inner, *more] for more in ([], *nested)):
            found |= {"/".join(path), "/".join(path[:-1])}  # the last may be a module, or what is in one
    return Imported(_ends(found))


def _c(text: str, folder: str, maps: ModuleMaps) -> Imported:
    told = {match[1].rpartition(".")[0] or match[1] for match in _INCLUDE.finditer(text)}
    near = {posixpath.normpath(posixpath.join("/", folder, one)) for one in told if one.startswith(".")}
    return Imported(_ends(near | {one for one in told if not one.startswith(".")}))


def _ends(paths: Sequence[str] | set[str] | Iterator[str]) -> tuple[str, ...]:
    return tuple(sorted({"/" + path.strip("/") for path in paths if path.strip("/")}))


_READERS: Mapping[str, Callable[[str, str, ModuleMaps], Imported]] = MappingProxyType(
    {"python": _python, "javascript": _ecma, "go": _go, "java": _java, "rust": _rust, "c": _c}
)
# What a folder is imported as: the file of this name in it.
_FOLDERS_FILE = MappingProxyType({"python": "/__init__", "rust": "/mod"})


def _module_of(path: str) -> str:
    known = known_language(language_of(path))
    if known and known.kin == "javascript":
        return _ecma_module(f"/{path}")
    return "/" + path.rpartition(".")[0].removesuffix(
        _FOLDERS_FILE.get(known.kin, "") if known else "/__init__"
    )
