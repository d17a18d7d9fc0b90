"""`--complete`, and what commands share: the same parts as the server, run once, without an editor."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from lsprotocol.types import Position

from indexer import Index, Progress, language_of
from indexer.reading import VANISHED, ReadingError, read_regular
from lsp_server.account import Account, account_of
from lsp_server.coder import LoadCoder, LoadedCoder, embedder_of
from lsp_server.holdings import Holding
from lsp_server.kept_blocks import KeptBlocks
from lsp_server.loading import load_named, who_answers
from lsp_server.model_thread import ModelThread
from lsp_server.opening import open_blocks, open_index
from lsp_server.presentation import stop_rule
from lsp_server.problems import UsageError, UserMustActError, explain
from lsp_server.requests import request_for, retriever
from lsp_server.settings import Settings
from lsp_server.snapshot import Buffer, Snapshot, take
from lsp_server.switches import refusal_once
from lsp_server.visible import visible
from model.checkpoint.files import WeightsError

MAX_DOCUMENT_BYTES = 50_000_000  # as many as index.maxFileBytes allows
_NUMBER = re.compile("[0-9]{1,9}")
# One completion of a fresh process pays for everything that a server has warm.
COLD_DEADLINE_MS = 10_000.0
PACKAGES_SECONDS = 0.5  # that it waits for installed packages: enough for what is in the cache
BEGIN_SECONDS = 5.0  # that a completion waits for the index; what is not embedded is found by words and names


def complete(settings: Settings, place: str, context: str | None, *, as_json: bool) -> int:
    """Print the completion at FILE:LINE:COL, counted from 1. Raises UsageError on a place that is none."""
    file, snapshot = snapshot_at(place)
    root = repository_of(file)
    if why := refusal_once(settings, root, snapshot):
        raise UserMustActError(visible(f"{file}: {why.reason} {why.next_step}"))
    wanted = replace(settings.model, context=context or settings.model.context)
    wanted = replace(wanted, deadline_ms=max(wanted.deadline_ms, COLD_DEADLINE_MS))
    with loaded(replace(settings, model=wanted)) as (coder, thread):
        account = _completed(settings, replace(settings, model=wanted), snapshot, root, coder, thread)
    if as_json:
        write_line(json.dumps(account.to_json()))
        return 0
    if account.text:
        write_line(account.text)
    sys.stdout.flush()  # before what is said of it
    sys.stderr.write("".join(f"{visible(sentence)}\n" for sentence in account.sentences()))
    return 0


@contextmanager
def loaded(
    settings: Settings, load: LoadCoder = load_named
) -> Iterator[tuple[LoadedCoder, ModelThread[LoadedCoder]]]:
    """The model, loaded. Raises UserMustActError when it cannot be."""
    thread = ModelThread(lambda: load(settings))
    thread.start()
    try:
        yield _loaded(thread), thread
    finally:
        thread.stop()


def _loaded(thread: ModelThread[LoadedCoder]) -> LoadedCoder:
    try:
        return thread.loaded.result()
    except ModuleNotFoundError as error:
        said = f"The package {error.name} is not installed; install it beside hef-lsp."
        raise UserMustActError(said) from error
    except (WeightsError, OSError) as error:
        raise UserMustActError(explain(error)) from error


def index_of(
    root: Path,
    settings: Settings,
    coder: LoadedCoder,
    thread: ModelThread[LoadedCoder],
    on_packages: Callable[[bool], None] | None = None,
) -> Index:
    """A folder's index as the server opens it. Without `on_packages` nothing installed is read."""
    return open_index(root, settings, embedder_of(coder, thread), coder.tokenizer, on_packages)


def repository_of(file: Path) -> Path:
    """The folder around a file whose index is used: the git work tree, else the project, else the file's
    folder."""
    for marker in (".git", "pyproject.toml"):
        for folder in file.parents:
            if (folder / marker).exists():
                return folder
    return file.parent


def snapshot_at(place: str) -> tuple[Path, Snapshot]:
    """FILE:LINE:COL -> the file and its text at that cursor. A column beyond the line is its end."""
    name, line, column = [*place.rsplit(":", 2), "", ""][:3]
    if not (name and _NUMBER.fullmatch(line) and _NUMBER.fullmatch(column)):
        raise UsageError(f"--complete wants FILE:LINE:COL, counted from 1, not {place!r}.")
    file = Path(name).resolve()
    text = _text_of(file)
    if int(line) < 1 or int(column) < 1 or int(line) > text.count("\n") + 1:
        raise UsageError(
            f"{visible(name)} has no line {line}, column {column}: it has {text.count(chr(10)) + 1} lines."
        )
    buffer = Buffer(file.as_uri(), None, file, language_of(file.name), text)
    return file, take(buffer, Position(int(line) - 1, int(column) - 1), "utf-32")


def _text_of(file: Path) -> str:
    """Raises UserMustActError: pipes, devices and what is too large to be a document are not read."""
    try:
        return read_regular(file, MAX_DOCUMENT_BYTES).decode("utf-8")
    except UnicodeDecodeError:
        raise UserMustActError(visible(f"{file} is not UTF-8 text.")) from None
    except ReadingError as error:
        reason = "No such file" if error.reason == VANISHED else error.reason.capitalize()
        raise UserMustActError(visible(f"{reason}: {file}.")) from None


def _completed(
    users: Settings,
    settings: Settings,
    snapshot: Snapshot,
    root: Path,
    coder: LoadedCoder,
    thread: ModelThread[LoadedCoder],
) -> Account:
    """What the model wrote with more patience than the user's settings have, and what an editor would show of it."""
    rule = stop_rule(snapshot, settings.completion.max_lines)
    read = threading.Event()

    def on_packages(reading: bool) -> None:
        if not reading:
            read.set()

    with (
        closing(index_of(root, settings, coder, thread, on_packages)) as index,
        _blocks(index, settings, coder) as kept,
    ):
        _bring_up_to_date(index, snapshot)
        if kept:
            kept.follow(index.files(), whole=False)
        if index.packages is not None:
            read.wait(PACKAGES_SECONDS)
        if index.mirrors.signatures is not None:
            index.mirrors.signatures.wait(PACKAGES_SECONDS)
        request = request_for(
            snapshot,
            settings,
            index,
            deadline_ms=settings.model.deadline_ms,
            finished=rule.finished,
            holding=Holding(index.tokens, index.packages, kept),
        )
        coder.completer.prepare(request, retriever(index))  # as a server does while nobody types
        completion = coder.completer.complete(request, retriever(index))
    who = f"{coder.description}. {who_answers(users, coder)}".strip()
    return account_of(completion, snapshot, rule, users, who)


@contextmanager
def _blocks(index: Index, settings: Settings, coder: LoadedCoder) -> Iterator[KeptBlocks | None]:
    kept = open_blocks(index, settings, coder)
    try:
        yield kept
    finally:
        if kept:
            kept.close()


def _bring_up_to_date(index: Index, snapshot: Snapshot) -> None:
    """Know what an editor's server would: the document, then the files beside it, then all others.

    A first index reads everything, but embeds only for a while; a later one is not waited for longer than
    that.
    """
    is_first, stages = not index.stats().files, [""]
    deadline = time.monotonic() + BEGIN_SECONDS

    def cancelled() -> bool:
        return time.monotonic() > deadline and (not is_first or stages[-1] == "embedding")

    def progress(news: Progress) -> None:
        stages.append(news.stage)

    assert snapshot.path is not None  # it was named
    index.overlay(snapshot.path, snapshot.prefix + snapshot.suffix)
    for paths in ([snapshot.path.parent], None) if is_first else (None,):
        stages.append("")
        report = index.update(paths, progress=progress, cancelled=cancelled)
    if report.cancelled:
        sys.stderr.write("hef-lsp: the index is incomplete; run `hef-lsp --reindex` to finish it.\n")


def write_line(line: str) -> None:
    """On stdout. Raises OSError where nobody reads it."""
    if sys.stdout is None:  # it was closed when the process began
        raise BrokenPipeError
    sys.stdout.write(line + "\n")
