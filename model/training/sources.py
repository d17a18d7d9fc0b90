"""Repositories as they lie on disk (checkouts, wheels, sdists, a library folder) -> `SourceRepository`."""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from model.training.licenses import license_of_metadata, license_of_text, license_of_texts

_LICENSE_FILE = re.compile(r"(?i)(licen[cs]e|copying|unlicense)[^/]*")
_CODE = (".py", ".js", ".ts", ".go", ".rs", ".java", ".c", ".h", ".cc", ".cpp")  # `license.rs` is code
_NOTE = re.compile(r"(?i)readme[^/]*|pyproject\.toml|setup\.cfg")


@dataclass(frozen=True)
class SourceFile:
    path: str  # repository-relative, posix
    text: str


@dataclass(frozen=True)
class SourceRepository:
    """`license` None: not permissive or not known."""

    name: str
    version: str
    license: str | None
    files: tuple[SourceFile, ...]


@dataclass(frozen=True)
class Sdist:
    """`notes`: license files, README and what describes the project, as they lie beside the code."""

    repository: SourceRepository
    notes: tuple[SourceFile, ...]


def read_checkouts(folder: Path) -> Iterator[SourceRepository]:
    """Each subfolder `owner+name` is a repository; its commit stands in a file `.commit`.

    A subfolder with a license file of its own that is not permissive (vendored code) is left out.
    """
    for root in sorted(path for path in folder.iterdir() if path.is_dir()):
        licenses = [p for p in sorted(root.rglob("*")) if p.is_file() and _LICENSE_FILE.fullmatch(p.name)]
        licenses = [p for p in licenses if p.suffix != ".py"]
        texts = [decode(p.read_bytes()) or "" for p in licenses if p.parent == root]
        foreign = [p.parent for p in licenses if license_of_text(decode(p.read_bytes()) or "") is None]
        files = (p for p in sorted(root.rglob("*.py")) if p.is_file() and not p.is_symlink())
        kept = [(p.relative_to(root).as_posix(), p.read_bytes()) for p in files if not _below(p, foreign)]
        commit = root / ".commit"
        yield SourceRepository(
            name=root.name.replace("+", "/", 1),
            version=commit.read_text().strip() if commit.exists() else "",
            license=license_of_texts(texts),
            files=source_files(kept),
        )


def _below(path: Path, folders: list[Path]) -> bool:
    return any(folder in path.parents for folder in folders)


def read_wheels(folder: Path) -> Iterator[SourceRepository]:
    """Every `name-version-*.whl` in `folder` is a repository."""
    for file in sorted(folder.glob("*.whl")):
        name, version = file.name.split("-")[:2]
        with zipfile.ZipFile(file) as wheel:
            names = wheel.namelist()
            metadata = next((n for n in names if n.endswith(".dist-info/METADATA")), None)
            declared = decode(wheel.read(metadata)) if metadata else None
            contents = [(n, wheel.read(n)) for n in sorted(names) if n.endswith(".py")]
            texts = [
                decode(wheel.read(n)) or ""
                for n in names
                if ".dist-info/" in n and _LICENSE_FILE.fullmatch(PurePosixPath(n).name)
            ]
        license_name = license_of_metadata(declared or "") or license_of_texts(texts)
        yield SourceRepository(name.replace("_", "-").lower(), version, license_name, source_files(contents))


def read_sdist(file: Path, name: str, version: str) -> Sdist:
    """A `.tar.gz` from a package index. Its license: what the license files say, if the metadata says the like.

    Nothing in it is run. A folder under a license of its own that is not permissive is left out.
    """
    with tarfile.open(file, "r:gz") as tar:
        # The first folder is name and version.
        members = {m.name.partition("/")[2]: m for m in tar if m.isfile() and "/" in m.name}
        kept = {path: m for path, m in members.items() if path.endswith(".py") or _is_note(path)}
        contents = [(path, _read_member(tar, member)) for path, member in sorted(kept.items())]
        metadata = _read_member(tar, members["PKG-INFO"]) if "PKG-INFO" in members else b""
    files = source_files(contents)
    licenses = [f for f in files if is_license(f.path)]
    declared = license_of_metadata(decode(metadata) or "")
    text = license_of_texts(f.text for f in licenses if "/" not in f.path)
    foreign = foreign_folders(licenses)
    code = tuple(
        f for f in files if f.path.endswith(".py") and not set(PurePosixPath(f.path).parents) & foreign
    )
    repository = SourceRepository(name, version, text if declared else None, code)
    return Sdist(repository, tuple(f for f in files if _is_note(f.path)))


def is_license(path: str) -> bool:
    """Whether a file holds a license, by its name."""
    name = PurePosixPath(path)
    return bool(_LICENSE_FILE.fullmatch(name.name)) and name.suffix not in _CODE


def foreign_folders(licenses: Iterable[SourceFile]) -> set[PurePosixPath]:
    """Folders under a license of their own that is not permissive."""
    return {PurePosixPath(f.path).parent for f in licenses if license_of_text(f.text) is None}


def _is_note(path: str) -> bool:
    return is_license(path) or ("/" not in path and bool(_NOTE.fullmatch(path)))


def _read_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    return stream.read() if stream else b""


def read_library(folder: Path, name: str, version: str, license_name: str) -> SourceRepository:
    """A folder of Python files under one known license: the standard library. Installed packages are left out."""
    files = (p for p in sorted(folder.rglob("*.py")) if "site-packages" not in p.parts)
    contents = [(p.relative_to(folder).as_posix(), p.read_bytes()) for p in files if p.is_file()]
    return SourceRepository(name, version, license_name, source_files(contents))


def source_files(contents: Iterable[tuple[str, bytes]]) -> tuple[SourceFile, ...]:
    """Those that are UTF-8 text, with line ends as here."""
    decoded = ((path, decode(data)) for path, data in contents)
    return tuple(SourceFile(path, text.replace("\r\n", "\n")) for path, text in decoded if text)


def decode(data: bytes) -> str | None:
    """None for what is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None
