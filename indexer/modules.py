"""Which files the imports of a text name, in each language: a name is likelier defined in one of them.

An import says how a path ends, or the folder that files are in; where a path begins is settled by build files, which
are not read. Relative ones are taken from the text's own folder.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from indexer.languages import known_language, language_of

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
_ROOTS = ("crate", "self", "super", "std", "core", "alloc")  # first names of Rust's paths that are no file's


@dataclass(frozen=True)
class Imported:
    """What a text's imports name: the ends of modules ("/a/b" for a/b.py), and folders that files are in.

    `within`: import paths of folders, as Go has them: a folder of the repository is the end of one.
    """

    ends: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    within: tuple[str, ...] = ()

    def names(self, path: str) -> bool:
        """Whether a file of the repository is one of them."""
        folder = "/" + path.rpartition("/")[0]
        return (
            _module_of(path).endswith(self.ends)
            or folder.endswith(self.folders)
            or (len(folder) > 1 and any(told.endswith(folder) for told in self.within))
        )


def imported_by(text: str, path: str) -> Imported:
    """What the imports of a text at a repository-relative path name; nothing where its language is not known."""
    known = known_language(language_of(path))
    read = _READERS.get(known.kin) if known else None
    return read(text[:_READ_CHARS], path.rpartition("/")[0]) if read else Imported()


def _python(text: str, _: str) -> Imported:
    found = {match[1] or match[2] for match in _PYTHON.finditer(text)}
    return Imported(_ends(module.strip(".").replace(".", "/") for module in found))


def _ecma(text: str, folder: str) -> Imported:
    told = {match[1] for match in _ECMA.finditer(text)}
    return Imported(_ends(_ecma_module(one, folder) for one in told))


def _ecma_module(told: str, folder: str) -> str:
    stem, dot, ending = told.rpartition(".")
    module = stem if dot and language_of(f"_.{ending}") != "text" else told
    if module.startswith("."):
        module = posixpath.normpath(posixpath.join("/", folder, module)).strip("/")
    for alias in _ALIASES:
        module = module.removeprefix(alias)
    return module.removesuffix("/index")


def _go(text: str, _: str) -> Imported:
    return Imported(within=_ends(match[1] for match in _GO.finditer(text)))


def _java(text: str, _: str) -> Imported:
    told = {match[1].replace(".", "/") for match in _JAVA.finditer(text)}
    classes = {one for one in told if not one.endswith("/*")}
    members = {one.rpartition("/")[0] for one in classes if one.count("/") > 1}  # of a static import
    return Imported(_ends(classes | members), _ends(one.removesuffix("/*") for one in told - classes))


def _rust(text: str, folder: str) -> Imported:
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


def _c(text: str, folder: str) -> Imported:
    told = {match[1].rpartition(".")[0] or match[1] for match in _INCLUDE.finditer(text)}
    near = {posixpath.normpath(posixpath.join("/", folder, one)) for one in told if one.startswith(".")}
    return Imported(_ends(near | {one for one in told if not one.startswith(".")}))


def _ends(paths: Sequence[str] | set[str] | Iterator[str]) -> tuple[str, ...]:
    return tuple(sorted({"/" + path.strip("/") for path in paths if path.strip("/")}))


_READERS: Mapping[str, Callable[[str, str], Imported]] = MappingProxyType(
    {"python": _python, "javascript": _ecma, "go": _go, "java": _java, "rust": _rust, "c": _c}
)
# What a folder is imported as: the file of this name in it.
_FOLDERS_FILE = MappingProxyType({"python": "/__init__", "javascript": "/index", "rust": "/mod"})


def _module_of(path: str) -> str:
    known = known_language(language_of(path))
    return "/" + path.rpartition(".")[0].removesuffix(
        _FOLDERS_FILE.get(known.kin, "") if known else "/__init__"
    )
