"""Archives of package registries -> `Sdist`: sdists, npm's `.tgz`, Debian's `.orig.tar.*`; code of any language.

Nothing in them is run, links are not followed, and what is larger than a source file is not read.
"""

from __future__ import annotations

import json
import lzma
import re
import tarfile
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from indexer.languages import TEXT, language_of
from model.evaluation.code_lines import SUFFIXES
from model.training.licenses import license_of_metadata, license_of_texts, permissive_names
from model.training.sources import (
    Sdist,
    SourceFile,
    SourceRepository,
    decode,
    foreign_folders,
    is_license,
    source_files,
)

_NOTE = re.compile(r"(?i)readme[^/]*|pyproject\.toml|setup\.cfg|package\.json|go\.mod|cargo\.toml|pom\.xml")
FOREIGN_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
_PLAIN = {"typescriptreact": "typescript", "javascriptreact": "javascript"}
_METADATA = ("PKG-INFO", "package.json")
_MAX_BYTES, _MAX_FILES = 1_000_000, 20_000  # of a file that is read, and of files in an archive
_NAMED = re.compile(r"(?P<name>.+?)[_-]v?(?P<version>\d[^/]*?)(\.orig)?\.(tgz|tar\.(gz|xz|bz2))")


class ArchiveError(ValueError):
    """The archive cannot be read; the message names it."""


def name_and_version(file: Path) -> tuple[str, str] | None:
    """What an archive's own name says: `zod-4.1.0.tgz`, `libuv1_1.50.0.orig.tar.gz`; None for what is none."""
    found = _NAMED.fullmatch(file.name)
    return (found["name"], found["version"]) if found else None


def read_archive(file: Path, name: str, version: str, suffixes: Collection[str]) -> Sdist:
    """The code with these suffixes, and the notes beside it. Its license: what the license files say; where metadata is
    there it must be permissive, too. Raises ArchiveError."""
    try:
        contents = dict(_contents(file, suffixes))
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError) as problem:
        raise ArchiveError(f"{file} cannot be read: {problem}") from problem
    files = source_files(sorted(contents.items()))
    licenses = [f for f in files if is_license(f.path)]
    foreign = foreign_folders(licenses) - {PurePosixPath(".")}
    code = tuple(
        f
        for f in files
        if PurePosixPath(f.path).suffix in suffixes
        and not is_license(f.path)
        and not set(PurePosixPath(f.path).parents) & foreign
    )
    text = license_of_texts(f.text for f in licenses if "/" not in f.path)
    repository = SourceRepository(name, version, text if _declares_permissive(contents) else None, code)
    return Sdist(repository, tuple(f for f in files if _is_note(f.path)))


def read_by_language(folders: Iterable[Path]) -> dict[str, list[SourceRepository]]:
    """The archives of these folders by the language that most of their code is of, names in order; no Python. What is
    no archive is passed over. Raises ArchiveError."""
    found: dict[str, list[SourceRepository]] = {}
    for file in sorted(file for folder in folders for file in folder.iterdir()):
        if named := name_and_version(file):
            repository = read_archive(file, *named, FOREIGN_SUFFIXES).repository
            repository = replace(repository, files=tuple(f for f in repository.files if not _is_made(f.path)))
            if repository.files:
                found.setdefault(language_of_files(repository.files), []).append(repository)
    return dict(sorted(found.items()))


def language_of_files(files: Sequence[SourceFile]) -> str:
    """The language, by LSP's id, that most of their text is of. A `.h` beside other files says nothing: both C's have
    it."""
    sizes: Counter[str] = Counter()
    for file in [file for file in files if not file.path.endswith(".h")] or files:
        sizes[_PLAIN.get(language := language_of(file.path), language)] += len(file.text)
    return max(sizes, key=lambda language: (sizes[language], language)) if sizes else TEXT


def _is_made(path: str) -> bool:
    """Types without code, and what stands there a second time, compiled or bundled."""
    return path.endswith((".d.ts", ".d.mts", ".d.cts", ".min.js"))


def _contents(file: Path, suffixes: Collection[str]) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    with tarfile.open(file, "r:*") as tar:
        for member in tar:
            path = member.name.removeprefix("./").partition("/")[2]  # the first folder is name and version
            wanted = PurePosixPath(path).suffix in suffixes or _is_note(path) or path in _METADATA
            if not member.isfile() or not wanted or member.size > _MAX_BYTES:
                continue
            if len(found) == _MAX_FILES:
                raise tarfile.TarError(f"more than {_MAX_FILES} files")
            stream = tar.extractfile(member)
            if path and stream and ".." not in PurePosixPath(path).parts:
                found.append((path, stream.read()))
    return found


def _is_note(path: str) -> bool:
    return is_license(path) or ("/" not in path and bool(_NOTE.fullmatch(path)))


def _declares_permissive(contents: dict[str, bytes]) -> bool:
    """Whether the metadata names a permissive license, or there is none."""
    if "PKG-INFO" in contents:
        return license_of_metadata(decode(contents["PKG-INFO"]) or "") is not None
    if "package.json" in contents:
        try:
            declared = json.loads(contents["package.json"]).get("license")
        except (ValueError, AttributeError):
            return False
        return isinstance(declared, str) and permissive_names(declared) is not None
    return True
