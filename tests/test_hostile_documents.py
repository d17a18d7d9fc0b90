"""What a keystroke costs in a document that no one writes by hand: little, whatever it is.

Times are those of this thread alone, so that other work on the machine does not count; each bound is far below what
anything quadratic takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from lsprotocol.types import Position

from indexer.chunking import chunk
from lsp_server.job import Job
from lsp_server.menu import menu_item
from lsp_server.presentation import StopRule, Suggestion, present, stop_rule, without_loop
from lsp_server.snapshot import Buffer, Snapshot, offset_at, take
from model.recall.candidates import candidates
from model.recall.cursor import Cursor
from tests.freezing import place_of
from tests.hostile_documents import NAMES, Hostile, hostile

KEYSTROKE_SECONDS = 0.5  # for each of a few steps; tens of milliseconds on a free machine
# Characters; below what brackets took, and one second on a free machine, where another process does half of it.
CHUNKED, CHUNK_SECONDS = 200_000, 15.0


def cpu_seconds(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def snapshot_of(document: Hostile) -> Snapshot:
    buffer = Buffer("file:///hostile", 1, None, document.language, document.text)
    return take(buffer, Position(*place_of(document)))


@pytest.mark.parametrize("name", NAMES)
def test_a_keystroke_in_a_hostile_document_is_cheap(name: str) -> None:
    document = hostile(name)
    position = Position(*place_of(document))
    snapshot = snapshot_of(document)
    job = Job(snapshot, None)
    written = "value = other(first, second)\nvalue = other(first, second)"
    cursor = Cursor.of("hostile.py", snapshot.prefix, snapshot.suffix)
    steps = {
        "edit": lambda: offset_at(document.text, position, "utf-16"),
        "take": lambda: snapshot_of(document),
        "follow": lambda: job.follow(snapshot.prefix + "x" + snapshot.suffix),
        "stop": lambda: stop_rule(snapshot, 12).finished(written),
        "present": lambda: present(written, snapshot, StopRule(block=True)),
        "menu": lambda: menu_item(Suggestion("value"), snapshot, None),  # type: ignore[arg-type]
        "cursor": lambda: Cursor.of("hostile.py", snapshot.prefix, snapshot.suffix),
        "candidates": lambda: candidates(cursor, (), 24),
    }
    seconds = {step: cpu_seconds(work) for step, work in steps.items()}

    assert max(seconds.values()) < KEYSTROKE_SECONDS, seconds


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_document_is_cut_into_chunks_that_are_all_of_it(name: str) -> None:
    document = hostile(name)
    text = document.text[:CHUNKED]
    began = time.monotonic()
    chunks = chunk(text, "java" if document.language == "java" else "python")

    assert time.monotonic() - began < CHUNK_SECONDS
    assert "".join(found.text for found in chunks) == text
    assert sum(len(found.scope) for found in chunks) < 10 * CHUNKED  # nesting is not repeated without end


@pytest.mark.parametrize(
    "text", ["(" * 200_000, "[{(" * 60_000, "- " * 100_000, "not " * 50_000, "f(\n" * 60_000]
)
@pytest.mark.parametrize("width", [80, 9_000])
def test_brackets_on_many_lines_are_cut_as_fast(text: str, width: int) -> None:
    lines = "\n".join(text[start : start + width] for start in range(0, len(text), width))

    began = time.monotonic()
    chunk(lines, "python")
    assert time.monotonic() - began < CHUNK_SECONDS


def test_many_names_on_one_line_share_its_text() -> None:
    lines = "\n".join("a = 1; " * 1_400 for _ in range(20))

    assert cpu_seconds(lambda: chunk(lines, "python")) < CHUNK_SECONDS


@pytest.mark.parametrize("line", ["a" * 60_000, "ab" * 30_000, "a" * 60_000 + "!", "=" * 1_000_000])
def test_a_long_line_is_no_loop_to_wait_for(line: str) -> None:
    assert cpu_seconds(lambda: without_loop(line)) < KEYSTROKE_SECONDS
