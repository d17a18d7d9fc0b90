"""Stage `foreign`: archives of package registries -> evaluation tasks in other languages than Python.

The packages stand in the stage's configuration, public facts alone; their code and the tasks are never committed.
Whole lines are drawn by RepoEval's rule (`model.evaluation.code_lines`) from files that are neither tests, generated,
vendored nor copies; what the evaluation indexes is all code of an archive, in whichever language. The corpus leaves
these packages out (`filters.measured_names`), so that no training of ours ever sees them. A coder that others trained
may have: they are older than it.
"""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from model.evaluation.code_lines import SUFFIXES
from model.evaluation.copies import copy_shares
from model.evaluation.drawing import draw_lines
from model.evaluation.tasks import Task
from model.training.archives import FOREIGN_SUFFIXES, ArchiveError, read_archive
from model.training.config import ConfigError, from_table
from model.training.filters import NearDuplicates, is_test, why_not
from model.training.fresh import task_line, write_archive
from model.training.sources import Sdist

SOURCE = "Registries"
ALL_SUFFIXES = frozenset({".py", *FOREIGN_SUFFIXES})


@dataclass(frozen=True)
class ForeignPackage:
    """One package. `registry`: where its archive is from, npm, debian or pypi; `sha256`: the archive's.

    `folder`: only the code in it counts, where an archive holds what was made of that as well.
    """

    name: str
    repository: str  # owner/name
    version: str
    registry: str
    language: str  # of code_lines.SUFFIXES
    sha256: str
    license: str
    folder: str = ""


@dataclass(frozen=True)
class ForeignConfig:
    """Settings of the stage. `digest`: sha256 of the tasks that published numbers are of."""

    archives: Path  # a folder of files, whatever they are called
    out: Path
    packages: tuple[dict[str, Any], ...]  # fields of ForeignPackage
    per_language: int = 200
    seed: int = 1
    digest: str = ""


def run(config: ForeignConfig) -> None:
    """Write `tasks.jsonl.xz` and `repos.tar.xz`. Raises ConfigError, naming every package that breaks the rule."""
    packages = sorted((from_table(ForeignPackage, table) for table in config.packages), key=lambda p: p.name)
    sdists = dict(_found(packages, config.archives))
    if problems := [f"{p.name}: {why}" for p in packages if (why := _why_not(p, sdists))]:
        raise ConfigError("\n".join(problems))
    tasks = [task for language in SUFFIXES for task in _drawn(packages, sdists, language, config)]
    config.out.mkdir(parents=True, exist_ok=True)
    lines = "".join(map(task_line, tasks)).encode()
    (config.out / "tasks.jsonl.xz").write_bytes(lzma.compress(lines))
    write_archive(config.out / "repos.tar.xz", sdists)
    digest = hashlib.sha256(lines).hexdigest()
    like = "the" if digest == config.digest else "not the"
    print(f"{len(packages)} packages, {len(tasks)} tasks, sha256 {digest}: {like} published numbers' tasks")
    texts = {name: {f.path: f.text for f in sdist.repository.files} for name, sdist in sdists.items()}
    for language in SUFFIXES:
        mine = [task for task in tasks if task.language == language]
        print(f"{language} ({len(mine)}), % that stand elsewhere: {copy_shares(mine, texts)}")


def _found(packages: Iterable[ForeignPackage], folder: Path) -> Iterator[tuple[str, Sdist]]:
    """Archives by package. Raises ConfigError for one that is damaged."""
    files = {hashlib.sha256(f.read_bytes()).hexdigest(): f for f in sorted(folder.iterdir()) if f.is_file()}
    for package in packages:
        if package.sha256 in files:
            try:
                sdist = read_archive(files[package.sha256], package.name, package.version, ALL_SUFFIXES)
            except ArchiveError as problem:
                raise ConfigError(str(problem)) from problem
            yield package.name, _inside(package.folder, sdist)


def _inside(folder: str, sdist: Sdist) -> Sdist:
    code = tuple(f for f in sdist.repository.files if not folder or f.path.startswith(f"{folder}/"))
    return replace(sdist, repository=replace(sdist.repository, files=code))


def _why_not(package: ForeignPackage, sdists: Mapping[str, Sdist]) -> str | None:
    if package.language not in SUFFIXES:
        return f"{package.language} is none of {', '.join(SUFFIXES)}"
    if package.name not in sdists:
        return f"no archive of version {package.version} with the sha256 {package.sha256}"
    found = sdists[package.name].repository.license
    return None if found == package.license else f"the license is {found}, not {package.license}"


def _drawn(
    packages: Iterable[ForeignPackage], sdists: Mapping[str, Sdist], language: str, config: ForeignConfig
) -> list[Task]:
    """As many of each package as there is room for; what one lacks, those with more code make up for."""
    mine = [package.name for package in packages if package.language == language]
    copies, found = NearDuplicates(), {}
    for name in mine:
        texts = {
            f.path: f.text for f in sdists[name].repository.files if _is_usable(f.path, f.text, language)
        }
        new = {path: text for path, text in texts.items() if copies.take(text)}
        found[name] = draw_lines(name, new, language, config.per_language, config.seed, SOURCE)
    in_turn = (tasks[n] for n in range(config.per_language) for tasks in found.values() if n < len(tasks))
    taken = {task.task_id for task, _ in zip(in_turn, range(config.per_language), strict=False)}
    return [task for tasks in found.values() for task in tasks if task.task_id in taken]


def _is_usable(path: str, text: str, language: str) -> bool:
    return (
        PurePosixPath(path).suffix in SUFFIXES[language] and not is_test(path) and why_not(path, text) is None
    )
