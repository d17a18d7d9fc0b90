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

from indexer import CacheError, IndexStats, default_cache_dir, missing_grammars
from lsp_server.coder import LoadedCoder
from lsp_server.commands import COLD_DEADLINE_MS, index_of, loaded, repository_of, write_line
from lsp_server.loading import load_named, rests, who_answers
from lsp_server.model_thread import ModelThread
from lsp_server.opening import blocks_folder
from lsp_server.paces import expectation
from lsp_server.power import ON_BATTERY, Power
from lsp_server.problems import UserMustActError, explain
from lsp_server.settings import Settings
from lsp_server.switches import everywhere
from lsp_server.visible import visible
from model.checkpoint.files import AbsentError
from model.settings import EMBEDDED_LARGE

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
NO_EDITOR = "neither Neovim nor VS Code is on PATH"
CONNECT = (
    "Install one, or have another LSP 3.18 client start `hef-lsp`; one that is not on PATH will do, too."
)
INOTIFY_LIMIT = Path("/proc/sys/fs/inotify/max_user_watches")


@dataclass(frozen=True)
class Finding:
    """One line of the report. `next_step` is empty unless something can be done; `blocking` needs the
    user."""

    topic: str
    text: str
    next_step: str = ""
    blocking: bool = False


def doctor(settings: Settings, folder: Path | None, *, as_json: bool, name_all: bool = False) -> int:
    """Print the findings for a folder that an editor opens, None: for the repository around the current one.

    `name_all`: every skipped file, which JSON does in any case. Returns 1 when something needs the user.
    """
    if folder is not None and not folder.is_dir():
        raise UserMustActError(visible(f"{folder} is not a folder."))
    root = folder.resolve() if folder else repository_of(Path.cwd() / "any file")
    opened = _model_and_index(settings, root, NAMED_FILES if not (name_all or as_json) else None)
    findings = [*_machine(), *_languages(), *_cache(root), *opened]
    findings += [*_suggestions(settings), *_power(settings), *_watching(), *_editors()]
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
    """The one thing to do now: what blocks comes first, then what nothing comes without; hints can wait."""
    steps = [finding.next_step for finding in findings if finding.blocking]
    for topic in ("index", "suggestions", "editor"):
        steps += [finding.next_step for finding in findings if finding.topic == topic and finding.next_step]
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


def _languages() -> Iterator[Finding]:
    for language, why in missing_grammars().items():
        step = f"Install it in {sys.executable}: hef-lsp brings it."
        yield Finding("languages", f"{language} is read as plain text: {why}", step)


def _cache(root: Path) -> Iterator[Finding]:
    folder = default_cache_dir(root)
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if os.access(existing, os.W_OK):
        yield Finding("cache", str(folder))
    else:
        step = "Make it writable, or set HEF_CACHE_DIR to a folder that is."
        yield Finding("cache", f"{existing} is not writable", step, blocking=True)


def _model_and_index(settings: Settings, root: Path, n_named: int | None) -> Iterator[Finding]:
    try:
        with loaded(settings, partial(load_named, timed=True)) as (coder, thread):
            yield from _model(coder, settings)
            yield from _pace(coder, settings)
            yield from _opened_index(root, settings, coder, thread, n_named)
    except UserMustActError as error:
        absent = error.__cause__ if isinstance(error.__cause__, AbsentError) else None
        step = f"Run `{absent.step}`." if absent else "See the settings model.*."
        yield Finding("model", str(error), step, blocking=True)
    except Exception as error:  # whatever it is that does not work, to say so is what the doctor is for
        said = f"{type(error).__name__}: {explain(error)}"
        yield Finding("model", said, "See the settings model.*.", blocking=True)


def _opened_index(
    root: Path,
    settings: Settings,
    coder: LoadedCoder,
    thread: ModelThread[LoadedCoder],
    n_named: int | None,
) -> Iterator[Finding]:
    try:
        with closing(index_of(root, settings, coder, thread)) as index:
            index.verify()
            yield from _index(root, index.stats(), n_named)
            yield from _blocks(blocks_folder(index, settings, coder), settings)
    except CacheError as error:
        yield Finding("index", error.problem, error.step, blocking=True)
    except (OSError, sqlite3.Error) as error:
        problem, _, step = explain(error).partition(". ")
        yield Finding("index", problem, step or "See what the cache folder allows.", blocking=True)


def _model(coder: LoadedCoder, settings: Settings) -> Iterator[Finding]:
    """Who answers in an editor, and who when `--complete` asks, which has more time."""
    yield Finding("model", coder.description)
    for note in coder.notes:
        yield Finding("model", note)
    if rests(settings, coder):
        after = f"after {settings.model.idle_minutes:g} minutes without a key (model.idleMinutes)"
        yield Finding("model", f"in an editor its memory is given back {after}")
    patience = f"`hef-lsp --complete` waits {COLD_DEADLINE_MS / 1e3:.0f} s"
    if coder.passed_over and coder.passed_over.needs_ms <= COLD_DEADLINE_MS:
        yield Finding("model", f"{patience}, and {EMBEDDED_LARGE} answers it")
    elif not coder.passed_over and (in_editor := who_answers(settings, coder)):
        yield Finding("model", f"{patience}, and this model answers it. {in_editor}")


def _pace(coder: LoadedCoder, settings: Settings) -> Iterator[Finding]:
    if coder.pace:
        yield Finding("pace", *expectation(coder.pace, settings.model.name, settings.model.deadline_ms))


def _suggestions(settings: Settings) -> Iterator[Finding]:
    """What keeps suggestions from coming, of the settings."""
    if why := everywhere(settings):
        yield Finding("suggestions", why.reason, why.next_step)
    else:
        least = 100 * settings.completion.min_confidence
        yield Finding(
            "suggestions", f"they come by themselves from {least:g} % sure (completion.minConfidence)"
        )


def _index(root: Path, stats: IndexStats, n_named: int | None) -> Iterator[Finding]:
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
        named = paths[:n_named]
        left = len(paths) - len(named)
        more = f" and {left:,} more, which `hef-lsp --doctor --all` names" if left else ""
        yield Finding("skipped", f"{len(paths):,} {reason}: {', '.join(named)}{more}")


def _blocks(folder: Path | None, settings: Settings) -> Iterator[Finding]:
    if folder is not None:
        n_bytes = sum(file.stat().st_size for file in folder.glob("*") if file.is_file())
        most = settings.blocks.disk_bytes
        yield Finding("blocks", f"{n_bytes / 1e6:.1f} MB of at most {most / 1e6:,.0f} MB are kept")


def _power(settings: Settings) -> Iterator[Finding]:
    if settings.server.save_battery and Power().saves():
        yield Finding("power", ON_BATTERY)


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
        yield Finding("editor", NO_EDITOR, CONNECT)


def _line(finding: Finding) -> str:
    mark = "hint" if finding.next_step else "ok"
    if finding.blocking:
        mark = "FAIL"
    step = f" {finding.next_step}" if finding.next_step else ""
    return f"{mark:<5}{finding.topic}: {finding.text}{'' if finding.text.endswith('.') else '.'}{step}"
