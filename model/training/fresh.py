"""Stage `fresh`: sdists of young projects -> evaluation tasks that no coder of November 2024 can have seen.

The packages stand in the stage's configuration, public facts alone; their code and the tasks are never committed. They
were picked from young projects of many kinds by this rule, which is checked at each run: the first release in the
package index is younger than SmolLM2's, metadata and license file name a permissive license, and enough of the code is
neither test, generated nor vendored. What needs other folders is checked where they are named: no excluded name, no
text of other tasks, no copy of older code. The corpus leaves these packages out (`filters.measured_names`).
"""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import lzma
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model.evaluation.copies import copy_shares
from model.evaluation.drawing import draw
from model.evaluation.tasks import PYTHON, Task
from model.training.config import ConfigError, from_table
from model.training.corpus import task_texts
from model.training.filters import NearDuplicates, Overlap, is_excluded, is_test, read_exclusions, why_not
from model.training.sources import Sdist, SourceFile, read_sdist

_NOT_BEFORE = datetime.date(2024, 12, 1)
# Of use for tasks. Not more, because every run of the evaluation indexes the repository anew.
_MIN_FILES, _MIN_LINES, _MAX_LINES = 8, 1_500, 100_000


@dataclass(frozen=True)
class FreshPackage:
    """One package. `first_release`: the upload time of its oldest file in the index (PEP 700). `sha256`: the sdist's.

    `old_files`: what it took over from older code, in which no task is drawn.
    """

    name: str
    version: str
    sha256: str
    license: str
    first_release: datetime.date
    repository: str  # owner/name
    old_files: tuple[str, ...] = ()


@dataclass(frozen=True)
class FreshConfig:
    """Settings of the stage. `digest`: sha256 of the tasks that published numbers are of."""

    sdists: Path
    out: Path
    packages: tuple[dict[str, Any], ...]  # fields of FreshPackage
    exclude: tuple[Path, ...] = ()  # files of names, one per line
    tasks: tuple[Path, ...] = ()  # other evaluation tasks: no file may share a window with theirs
    older: tuple[Path, ...] = ()  # folders of older code, installed packages for example
    per_kind: int = 10  # tasks of a repository
    seed: int = 1
    digest: str = ""


def run(config: FreshConfig) -> None:
    """Write `tasks.jsonl.xz` and `repos.tar.xz`. Raises ConfigError, naming every package that breaks the rule."""
    packages = sorted((from_table(FreshPackage, table) for table in config.packages), key=lambda p: p.name)
    sdists = dict(_found(packages, config.sdists))
    usable = {p.name: _usable(p, sdists[p.name]) for p in packages if p.name in sdists}
    problems = [f"{p.name}: {why}" for p in packages if (why := _why_not(p, sdists, usable))]
    problems += _with_other_folders(packages, usable, config)
    if problems:
        raise ConfigError("\n".join(problems))
    texts = {name: {f.path: f.text for f in sdist.repository.files} for name, sdist in sdists.items()}
    copies, tasks = NearDuplicates(), []
    for package in packages:
        new = [f.path for f in usable[package.name] if copies.take(f.text)]
        tasks += draw(package.name, texts[package.name], new, config.per_kind, config.seed)
    config.out.mkdir(parents=True, exist_ok=True)
    lines = "".join(task_line(task) for task in tasks).encode()
    (config.out / "tasks.jsonl.xz").write_bytes(lzma.compress(lines))
    write_archive(config.out / "repos.tar.xz", sdists)
    digest = hashlib.sha256(lines).hexdigest()
    like = "the" if digest == config.digest else "not the"
    print(f"{len(packages)} packages, {len(tasks)} tasks, sha256 {digest}: {like} published numbers' tasks")
    for kind in ("line", "api"):
        of_kind = [task for task in tasks if task.kind == kind]
        print(f"{kind} ({len(of_kind)}), % that stand elsewhere: {copy_shares(of_kind, texts)}")


def _found(packages: Iterable[FreshPackage], folder: Path) -> Iterator[tuple[str, Sdist]]:
    """Sdists by package, whatever their files are called."""
    files = {hashlib.sha256(f.read_bytes()).hexdigest(): f for f in sorted(folder.glob("*.tar.gz"))}
    for package in packages:
        if package.sha256 in files:
            yield package.name, read_sdist(files[package.sha256], package.name, package.version)


def _why_not(
    package: FreshPackage, sdists: Mapping[str, Sdist], usable: Mapping[str, list[SourceFile]]
) -> str | None:
    """What of the rule a package breaks by itself."""
    if package.first_release < _NOT_BEFORE:
        return f"first released on {package.first_release}, before {_NOT_BEFORE}"
    if package.name not in sdists:
        return f"no sdist of version {package.version} with the sha256 {package.sha256}"
    found = sdists[package.name].repository.license
    if found != package.license:
        return f"the license is {found}, not {package.license}"
    files = usable[package.name]
    n_lines = sum(f.text.count("\n") for f in files)
    if len(files) < _MIN_FILES or not _MIN_LINES <= n_lines <= _MAX_LINES:
        return f"{len(files)} files with {n_lines} lines of use"
    return None


def _with_other_folders(
    packages: Iterable[FreshPackage], usable: Mapping[str, list[SourceFile]], config: FreshConfig
) -> Iterator[str]:
    """What is excluded or known elsewhere. It is told and never left out, so that the draw needs no other folder."""
    excluded = read_exclusions(line for file in config.exclude for line in file.read_text().splitlines())
    overlap, known = Overlap(task_texts(config.tasks)), NearDuplicates()
    for path in (path for folder in config.older for path in sorted(folder.rglob("*.py"))):
        known.take(path.read_text(encoding="utf-8", errors="replace"))
    for package in packages:
        if is_excluded(package.name, excluded) or is_excluded(package.repository, excluded):
            yield f"{package.name}: excluded"
        for file in usable.get(package.name, ()):
            if overlap.shares(file.text):
                yield f"{package.name}: {file.path} shares text with other tasks"
            elif known.knows(file.text):
                yield f"{package.name}: {file.path} is a copy of older code"


def _usable(package: FreshPackage, sdist: Sdist) -> list[SourceFile]:
    """The files that tasks may be drawn from."""
    files = (f for f in sdist.repository.files if f.path not in package.old_files)
    return [f for f in files if not is_test(f.path) and why_not(f.path, f.text) is None]


def task_line(task: Task) -> str:
    """As `read_tasks` has it. Python's name no language: their bytes are older than that."""
    fields = {k: v for k, v in asdict(task).items() if (k, v) != ("language", PYTHON)}
    return json.dumps({**fields, "line": task.prefix.count("\n")}, ensure_ascii=False) + "\n"


def write_archive(file: Path, sdists: Mapping[str, Sdist]) -> None:
    """Code, licenses and READMEs by `<package>/<path>`, nothing of them dependent on when or where."""
    with tarfile.open(file, "w:xz") as tar:
        for name, sdist in sdists.items():
            for source in sorted({*sdist.repository.files, *sdist.notes}, key=lambda f: f.path):
                data = source.text.encode()
                member = tarfile.TarInfo(f"{name}/{source.path}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
