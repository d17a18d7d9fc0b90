"""`--doctor`: what works, what does not, and what to do. Opens things the way the server does, so that it
finds out."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from indexer import CacheError, IndexStats, default_cache_dir
from lsp_server.coder import LoadedCoder
from lsp_server.commands import index_of, loaded, repository_of, write_line
from lsp_server.loading import load_named
from lsp_server.model_thread import ModelThread
from lsp_server.opening import blocks_folder
from lsp_server.paces import expectation
from lsp_server.problems import UserMustActError, explain
from lsp_server.settings import Settings
from lsp_server.visible import visible
from model.checkpoint.files import AbsentError

PACKAGES = (
    "hef-lsp",
    "onnxruntime",
    "onnx",
    "pygls",
    "lsprotocol",
    "tokenizers",
    "tree-sitter",
    "watchdog",
    "numpy",
)
# What the server does without them, and what to do about it where something should be done.
OPTIONAL_PACKAGES = {
    "hnswlib": ("search is exact", "Install hnswlib for repositories of more than about 100,000 chunks."),
    "torch": ("models run on the CPU (for a GPU: pip install 'hef-lsp[cuda]')", ""),
}
FEW_WATCHES = 8_192  # Linux' old default; large repositories have more folders
ALL_WELL = "Nothing is missing: open a file of this repository in your editor and type."
NAMED_FILES = 5  # of each reason for which files were skipped
INOTIFY_LIMIT = Path("/proc/sys/fs/inotify/max_user_watches")


@dataclass(frozen=True)
class Finding:
    """One line of the report. `next_step` is empty unless something can be done; `blocking` needs the
    user."""

    topic: str
    text: str
    next_step: str = ""
    blocking: bool = False


def doctor(settings: Settings, folder: Path, *, as_json: bool) -> int:
    """Print the findings for the repository around `folder`. Returns 1 when something needs the user."""
    root = repository_of(folder.resolve() / "any file")
    findings = [*_machine(), *_cache(root), *_model_and_index(settings, root), *_watching(), *_editors()]
    blocked = any(finding.blocking for finding in findings)
    if as_json:
        found = [asdict(finding) for finding in findings]
        report = {"ok": not blocked, "next_step": next_step(findings), "findings": found}
        write_line(json.dumps(report, indent=2))
    else:
        lines = [*(_line(finding) for finding in findings), f"Next: {next_step(findings)}"]
        write_line("\n".join(map(visible, lines)))
    return 1 if blocked else 0


def next_step(findings: Sequence[Finding]) -> str:
    """The one thing to do now: what blocks comes first, then the index; hints can wait."""
    steps = [finding.next_step for finding in findings if finding.blocking]
    steps += [finding.next_step for finding in findings if finding.topic == "index" and finding.next_step]
    return steps[0] if steps else ALL_WELL


def _machine() -> Iterator[Finding]:
    yield Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in PACKAGES:
        try:
            yield Finding("package", f"{package} {version(package)}")
        except PackageNotFoundError:
            optional = package == "hef-lsp"  # run from a checkout
            step = "" if optional else f"Install {package} in {sys.executable}."
            yield Finding("package", f"{package} is not installed", step, blocking=not optional)
    for package, (without, step) in OPTIONAL_PACKAGES.items():
        try:
            yield Finding("package", f"{package} {version(package)}")
        except PackageNotFoundError:
            yield Finding("package", f"{package} is not installed: {without}", step)


def _cache(root: Path) -> Iterator[Finding]:
    folder = default_cache_dir(root)
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if os.access(existing, os.W_OK):
        yield Finding("cache", str(folder))
    else:
        step = "Make it writable, or set HEF_CACHE_DIR to a folder that is."
        yield Finding("cache", f"{existing} is not writable", step, blocking=True)


def _model_and_index(settings: Settings, root: Path) -> Iterator[Finding]:
    try:
        with loaded(settings, partial(load_named, timed=True)) as (coder, thread):
            yield from _model(coder)
            yield from _pace(coder, settings)
            yield from _opened_index(root, settings, coder, thread)
    except UserMustActError as error:
        absent = error.__cause__ if isinstance(error.__cause__, AbsentError) else None
        step = f"Run `{absent.step}`." if absent else "See the settings model.*."
        yield Finding("model", str(error), step, blocking=True)
    except Exception as error:  # whatever it is that does not work, to say so is what the doctor is for
        said = f"{type(error).__name__}: {explain(error)}"
        yield Finding("model", said, "See the settings model.*.", blocking=True)


def _opened_index(
    root: Path, settings: Settings, coder: LoadedCoder, thread: ModelThread[LoadedCoder]
) -> Iterator[Finding]:
    try:
        with closing(index_of(root, settings, coder, thread)) as index:
            index.verify()
            yield from _index(root, index.stats())
            yield from _blocks(blocks_folder(index, settings, coder), settings)
    except CacheError as error:
        yield Finding("index", error.problem, error.step, blocking=True)
    except (OSError, sqlite3.Error) as error:
        problem, _, step = explain(error).partition(". ")
        yield Finding("index", problem, step or "See what the cache folder allows.", blocking=True)


def _model(coder: LoadedCoder) -> Iterator[Finding]:
    yield Finding("model", coder.description)
    for note in coder.notes:
        yield Finding("model", note)


def _pace(coder: LoadedCoder, settings: Settings) -> Iterator[Finding]:
    if coder.pace:
        yield Finding("pace", *expectation(coder.pace, settings.model.name, settings.model.deadline_ms))


def _index(root: Path, stats: IndexStats) -> Iterator[Finding]:
    if stats.files:
        size = f"{stats.files:,} files, {stats.chunks:,} chunks, {stats.bytes / 1e6:.1f} MB"
        yield Finding("index", f"{root}: {size}, {stats.search} search")
    else:
        yield Finding(
            "index", f"{root} is not indexed yet", "Open the folder in an editor, or run `hef-lsp --reindex`."
        )
    if stats.last_error:
        said = f"The last update failed: {stats.last_error}"
        yield Finding("index", said, "Run `hef-lsp --reindex`.", blocking=True)
    for reason, paths in sorted(stats.skipped.items()):
        named = ", ".join(paths[:NAMED_FILES]) + (", ..." if len(paths) > NAMED_FILES else "")
        yield Finding("skipped", f"{len(paths):,} {reason}: {named}")


def _blocks(folder: Path | None, settings: Settings) -> Iterator[Finding]:
    if folder is not None:
        n_bytes = sum(file.stat().st_size for file in folder.glob("*") if file.is_file())
        most = settings.blocks.disk_bytes
        yield Finding("blocks", f"{n_bytes / 1e6:.1f} MB of at most {most / 1e6:,.0f} MB are kept")


def _watching() -> Iterator[Finding]:
    if not INOTIFY_LIMIT.exists():
        return
    watches = int(INOTIFY_LIMIT.read_text(encoding="ascii"))
    few = watches <= FEW_WATCHES
    step = "For large repositories: sysctl fs.inotify.max_user_watches=524288." if few else ""
    yield Finding("watching", f"{watches:,} folders may be watched", step)


def _editors() -> Iterator[Finding]:
    hints = {
        "nvim": "Neovim 0.12 or newer shows suggestions by itself: vim.lsp.enable('hef_lsp').",
        "code": "VS Code: install the extension of editors/vscode.",
    }
    found = {name: hint for name, hint in hints.items() if shutil.which(name)}
    for name, hint in found.items():
        yield Finding("editor", f"{name} is installed. {hint}")
    if not found:
        yield Finding("editor", "No editor found on PATH; any LSP 3.18 client can start `hef-lsp`.")


def _line(finding: Finding) -> str:
    mark = "hint" if finding.next_step else "ok"
    if finding.blocking:
        mark = "FAIL"
    step = f" {finding.next_step}" if finding.next_step else ""
    return f"{mark:<5}{finding.topic}: {finding.text}{'' if finding.text.endswith('.') else '.'}{step}"
