"""`--reindex`: an index brought up to date by hand, in one pass for who watches."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from indexer import Gate, Index, Progress, UpdateReport
from indexer.caches import has_index
from lsp_server.commands import index_of, loaded, write_line
from lsp_server.problems import UserMustActError
from lsp_server.settings import Settings
from lsp_server.status import FolderStatus, progress_line, seconds_left
from lsp_server.visible import visible

BAR_WIDTH = 24


def reindex(settings: Settings, directory: Path, *, as_json: bool) -> int:
    """Bring a folder's index up to date and say what it took."""
    if not directory.is_dir():
        raise UserMustActError(visible(f"{directory} is not a folder."))
    root = directory.resolve()
    outer = indexed_around(root, settings)
    if outer:
        sys.stderr.write(visible(f"hef-lsp: {_said_of(outer, root)}") + "\n")
    with loaded(settings) as (coder, thread), closing(index_of(root, settings, coder, thread)) as index:
        index.verify()
        report = _update(index, root)
        index.wipe(whole=True)
    skipped = {reason: len(paths) for reason, paths in report.skipped.items()}
    figures = {
        "files": report.files,
        "chunks": report.chunks,
        "embedded": report.embedded,
        "reused": report.reused,
        "seconds": round(report.seconds, 3),
        "skipped": skipped,
        "pulled": report.pulled,
        "team": report.team,
        "indexed_around": str(outer) if outer else None,
    }
    write_line(json.dumps(figures) if as_json else _sentence(report, skipped))
    return 0


def indexed_around(root: Path, settings: Settings) -> Path | None:
    """The nearest folder around one that has an index already, which this one's files are in, too; None where there is
    none."""
    around = (folder for folder in root.parents if has_index(folder))
    outer = next(around, None)
    inside = outer and Gate().refusal(outer, root / "any file", settings.index) is None
    return outer if inside else None


def _said_of(outer: Path, root: Path) -> str:
    return (
        f"{outer} has an index already, with the files of {root.name} in it, which is used where {outer} is opened "
        f"(`hef-lsp --reindex {outer}` brings it up to date). This one is for who opens {root.name} alone."
    )


class _TerminalBar:
    """A progress bar on a terminal's stderr, which goes from left to right once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stage, self._began = "", 0.0

    def __call__(self, progress: Progress) -> None:
        if progress.stage != self._stage:
            self._stage, self._began = progress.stage, time.monotonic()
        left = seconds_left(progress.done, progress.total, time.monotonic() - self._began)
        folder = FolderStatus(
            self._name, stage=progress.stage, done=progress.done, total=progress.total, seconds_left=left
        )
        self._draw(progress.share, progress_line(folder))

    def full(self) -> None:
        self._draw(1.0, f"Indexed {self._name}")

    def _draw(self, share: float, line: str) -> None:
        sys.stderr.write(f"\r[{'#' * int(BAR_WIDTH * share):<{BAR_WIDTH}}] {line}\x1b[K")
        sys.stderr.flush()


@contextmanager
def _bar(name: str) -> Iterator[_TerminalBar]:
    bar = _TerminalBar(name)
    try:
        yield bar
        bar.full()
    finally:
        sys.stderr.write("\n")


def _update(index: Index, root: Path) -> UpdateReport:
    if not sys.stderr.isatty():
        return index.update()
    with _bar(visible(root.name)) as bar:
        return index.update(progress=bar)


def _sentence(report: UpdateReport, skipped: dict[str, int]) -> str:
    line = (
        f"{report.files:,} files, {report.chunks:,} chunks: {report.embedded:,} embedded, {report.reused:,} reused "
        f"in {report.seconds:.1f} s."
    )
    if report.team:
        line += f"\n{report.team}"
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in sorted(skipped.items()) if count)
    return f"{line}\nSkipped: {left_out} (`hef-lsp --doctor --all` names them)." if left_out else line
