"""Texts are read by a child with limits: what took minutes and gigabytes takes neither, all else is the same."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from indexer import outliner as module
from indexer import outlining
from indexer.chunking import chunk
from indexer.cursor_extent import extent_at
from indexer.exchange import OutlineRequest
from indexer.extents import LINE
from indexer.import_places import with_import
from indexer.imports import Import
from indexer.installed import Package
from indexer.languages import LANGUAGES, Language, known_language, language_of
from indexer.outline import Outline, outline_of
from indexer.outliner import SHORT, Outliner, outline_within_limits, parse_within_limits
from indexer.scopes import Syntax
from indexer.signatures import signatures_of
from indexer.soundness import sound_part
from indexer.splitting import DEFAULT_LIMITS, MeasuredLines
from tests.memory import held, peak_mb

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "golden"
LETTERS = "bcghjkqvxyz"  # no keyword consists of them
# What is never finished, W a name that is another each time: 30,000 characters took up to 20 s and 5 GB.
UNFINISHED = {
    "java": ("W=>\n", "W*W=>"),
    "c": ("W=>\n", "WW|W=>\n"),
    "cpp": ("~W<\n", "W<"),
    "python": ("/*W", "/*W<<W"),
    "javascript": ("yield ~W&-\n", "W=>{\n"),
    "typescript": ("W=~==", "W<W,\n"),
    "rust": (";[W;*\n", "W::<\n"),
    "go": ("W&&<=\n", "func W(\n"),
}
CASES = [(language, unit) for language, units in UNFINISHED.items() for unit in units]
MOST_SECONDS, MOST_MB = 6.0, 60  # of the parent, which two tests beside this one slow down
linux = pytest.mark.skipif(sys.platform != "linux", reason="memory has a limit on Linux only")


def unfinished(unit: str, n_chars: int) -> str:
    rng = random.Random(9)
    pieces = []
    while n_chars > 0:
        pieces.append("".join(rng.choice(LETTERS) + rng.choice(LETTERS) if c == "W" else c for c in unit))
        n_chars -= len(pieces[-1])
        if "\n" not in unit and len(pieces) % 1_000 == 0:
            pieces[-1] += "\n"
    return "".join(pieces)


def language_named(name: str) -> Language:
    known = known_language(name)
    assert known is not None
    return known


def outline(outliner: Outliner, text: str, language: str = "python") -> Outline | None:
    return outliner.outline(text, MeasuredLines(text), language_named(language), DEFAULT_LIMITS)


def in_process(text: str, language: str = "python") -> Outline | None:
    return outline_of(text, MeasuredLines(text), language_named(language), DEFAULT_LIMITS)


def process_of(outliner: Outliner) -> int:
    assert outliner._child is not None
    return outliner._child._process.pid


def wait_until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_running(process: int) -> bool:
    """Not so where nobody has asked yet how it ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def outliner() -> Iterator[Outliner]:
    made = Outliner()
    yield made
    made.close()
    assert made._child is None


class Stalls:
    """The longest time in which a thread that wants to run every 2 ms could not."""

    def __enter__(self) -> Stalls:
        self.longest, self._ended = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(0.002):
            now = time.monotonic()
            self.longest, last = max(self.longest, now - last), now


@linux
@pytest.mark.parametrize(("language", "unit"), CASES)
def test_what_is_unfinished_takes_little_time_and_memory(language: str, unit: str) -> None:
    text = unfinished(unit, 30_000)
    before, began = peak_mb(), time.monotonic()
    with Stalls() as stalls:
        chunks = chunk(text, language)
    assert time.monotonic() - began < MOST_SECONDS
    assert stalls.longest < 1.0  # it held the interpreter all the time
    assert peak_mb() - before < MOST_MB
    assert "".join(one.text for one in chunks) == text


@linux
def test_a_module_of_a_package_is_read_within_the_same_limits(tmp_path: Path) -> None:
    place = tmp_path / "lib"
    place.mkdir()
    (place / "bad.py").write_text(unfinished("/*W", 30_000))
    (place / "good.py").write_text("def settle(amount: int) -> bool: ...\n")
    before, began = peak_mb(), time.monotonic()
    found = signatures_of(Package("lib.lib", "1.0", place), "lib")
    assert time.monotonic() - began < MOST_SECONDS
    assert peak_mb() - before < MOST_MB
    assert found is not None
    assert [row.name for row in found.rows if row.path == "lib/good.py"] == ["settle"]


@pytest.mark.parametrize(("language", "unit"), CASES)
def test_short_texts_are_read_here_and_take_little(
    language: str, unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_outliner_of", None)
    text = unfinished(unit, 2 * SHORT)[:SHORT]
    began = time.process_time()
    assert "".join(one.text for one in chunk(text, language)) == text
    assert time.process_time() - began < 0.5


LONG = unfinished("/*W", 60_000)
LINES = "\n".join(LONG[start : start + 80] for start in range(0, 3_600, 80))
AT_A_CURSOR: dict[str, Callable[[], bool]] = {
    "parsed": lambda: parse_within_limits(LONG.encode(), "python") is None,
    "a kind": lambda: Syntax(LONG).kind_at(0, 3)[0] == "code",
    "a name": lambda: Syntax(LONG, "java").same_name(0, "a") is None,
    "unbound": lambda: Syntax(LONG).unbound(0, 1_000) == {},
    "an import": lambda: with_import(LONG, Import("os", ""), ()) is None,
    "sound": lambda: sound_part(f"f(\n{LINES}\n", "value)", "") == "value)",  # nobody can tell
    "a block": lambda: extent_at(f"f(\n{LINES}\nif x:\n    ", len(LINES) + 14, "python") == LINE,
}


@linux
@pytest.mark.parametrize("asked", AT_A_CURSOR)
def test_what_is_read_at_a_cursor_is_bounded_as_well(asked: str) -> None:
    began = time.monotonic()
    with Stalls() as stalls:
        assert AT_A_CURSOR[asked]()
    assert time.monotonic() - began < MOST_SECONDS
    assert stalls.longest < 1.0


@linux
def test_comments_before_what_is_unfinished_take_no_time_either(outliner: Outliner) -> None:
    comments = "// x\n" * 12_000  # made each of tree-sitter's steps slow: 12 s
    began = time.monotonic()
    assert not outliner.vets((comments + unfinished("W=>\n", 8_000)).encode(), "java")
    assert outliner.vets(comments.encode(), "java")
    assert time.monotonic() - began < MOST_SECONDS


def test_what_would_hold_the_interpreter_for_long_is_not_vetted(monkeypatch: pytest.MonkeyPatch) -> None:
    request = OutlineRequest("python", None, b"x = [1]\n" * 5_000)
    assert outlining.answer(request) == b"true"
    monkeypatch.setattr(outlining, "VETTED_SECONDS", 1e-4)
    assert outlining.answer(request) == b"null"


def real_files() -> list[Path]:
    return [*sorted((ROOT / "indexer").rglob("*.py"))[::2], *sorted(GOLDEN.iterdir())]


def test_outlines_are_those_that_this_process_reads(outliner: Outliner) -> None:
    compared: set[str] = set()
    for path in real_files():
        language = language_of(path.name)
        known = known_language(language)
        text = path.read_text("utf-8")
        for told in (text, text * 7, text.replace("\n", "\r\n"), text[: len(text) // 2]):
            if known is not None:
                assert outline(outliner, told, language) == in_process(told, language), path
                compared.add(known.grammar)
    assert compared >= {one.grammar for one in LANGUAGES if not one.grammar.endswith("_tsx")}


@pytest.mark.parametrize(
    "piece",
    [
        "x = '\ud800'\n",
        "é = '\ud83d\ude00'\n",
        "x = '\x00'\n",
        "x = '\u2028\f'\r\n",
        "def f(): pass; y = 1\n",
    ],
)
def test_any_text_arrives_as_it_is(outliner: Outliner, piece: str) -> None:
    text = piece * 300
    assert outline(outliner, text) == in_process(text)
    assert outline_within_limits(text, MeasuredLines(text), language_named("python"), DEFAULT_LIMITS)


@linux
def test_a_child_that_somebody_ends_is_asked_again(outliner: Outliner) -> None:
    text = "def f():\n    return 1\n\n\n" * 200
    expected = outline(outliner, text)
    for number in (signal.SIGKILL, signal.SIGTERM):
        os.kill(process_of(outliner), number)
        assert outline(outliner, text) == expected


@linux
def test_a_child_that_is_ended_in_the_middle_is_asked_again(outliner: Outliner) -> None:
    text = "".join(f"def f{n}(a, b={n}):\n    return [a, b, {n}]\n\n\n" for n in range(15_000))
    outline(outliner, "x = 1\n")
    child = process_of(outliner)
    threading.Timer(0.1, os.kill, (child, signal.SIGKILL)).start()
    found = outline(outliner, text)
    assert found is not None
    assert len(found.definitions) == 15_000
    assert process_of(outliner) != child


@linux
def test_what_falls_over_a_limit_is_asked_once(outliner: Outliner, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    real = module._Child

    def start(idle_seconds: float) -> object:
        started.append(idle_seconds)
        return real(idle_seconds)

    monkeypatch.setattr(module, "_Child", start)
    assert outline(outliner, unfinished("W=>\n", 30_000), "java") is None
    assert outline(outliner, "class A { int f() { return 1; } }\n" * 50, "java") is not None
    assert len(started) == 2


def test_a_child_that_is_late_is_ended(outliner: Outliner, monkeypatch: pytest.MonkeyPatch) -> None:
    outline(outliner, "x = 1\n")
    monkeypatch.setattr(module, "_deadline", lambda n_bytes: 0.2)
    began = time.monotonic()
    if hasattr(signal, "SIGSTOP"):
        os.kill(process_of(outliner), signal.SIGSTOP)
    assert outline(outliner, "x = 1\n" * 1_000) is None
    assert time.monotonic() - began < 10.0
    monkeypatch.undo()
    assert outline(outliner, "x = 1\n" * 1_000) is not None


def test_two_threads_get_their_own_answers(outliner: Outliner) -> None:
    texts = {name: f"def {name}():\n    return 1\n\n\n" * 300 for name in ("first", "second", "third")}
    wrong: list[str] = []

    def ask(name: str) -> None:
        for _ in range(20):
            found = outline(outliner, texts[name])
            if found is None or {symbol.name for _, symbol in found.symbols} != {name}:
                wrong.append(name)

    threads = [threading.Thread(target=ask, args=(name,)) for name in texts]
    for thread in threads:
        thread.start()
    for _ in range(5):
        time.sleep(0.05)
        outliner.close()  # whoever waits gets another child
    for thread in threads:
        thread.join()
    assert wrong == []


@linux
def test_a_keystroke_does_not_wait_for_a_long_text(outliner: Outliner) -> None:
    outline(outliner, "x = 1\n")
    os.kill(process_of(outliner), signal.SIGSTOP)
    busy = threading.Thread(target=outline, args=(outliner, "x = 1\n" * 1_000))
    busy.start()
    wait_until(outliner._lock.locked)
    began = time.monotonic()
    assert not outliner.vets(b"x = 1\n", "python")
    assert time.monotonic() - began < 2.0
    os.kill(process_of(outliner), signal.SIGCONT)
    busy.join()
    assert outliner.vets(b"x = 1\n", "python")


@linux
def test_it_ends_when_nobody_asks_and_starts_again() -> None:
    outliner = Outliner(idle_seconds=0.3)
    assert outline(outliner, "x = 1\n") is not None
    child = process_of(outliner)
    wait_until(lambda: not Path(f"/proc/{child}").exists())  # and nothing of it stays
    assert outline(outliner, "x = 1\n") is not None
    assert process_of(outliner) != child
    wait_until(lambda: not is_running(process_of(outliner)))
    outliner.close()


def test_there_is_none_before_there_is_something_to_read() -> None:
    code = "import indexer.outliner as o\nprint(o._outliner_of.cache_info().currsize)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, timeout=60)
    assert done.stdout.split() == [b"0"]


PARENT = """
import os, sys, time
from indexer.chunking import chunk
from indexer.cursor_extent import extent_at
from indexer.extents import LINE
from indexer.outliner import _outliner_of
chunk("x = 1\\n" * 1_000, "python")
print(_outliner_of(os.getpid(), "index")._child._process.pid, flush=True)
sys.stdin.read()
"""


@linux
@pytest.mark.parametrize("killed", [True, False])
def test_it_ends_with_its_parent(killed: bool) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_running(child)
        if killed:
            parent.kill()
    wait_until(lambda: not is_running(child))


@linux
def test_it_is_small_and_has_no_more_open_than_its_pipes(outliner: Outliner) -> None:
    text = (ROOT / "indexer" / "index.py").read_text("utf-8")
    assert outline(outliner, text) is not None
    place = Path(f"/proc/{process_of(outliner)}")
    assert held(process_of(outliner))["VmRSS"] // 1024 < 40
    opened = sorted(os.readlink(fd) for fd in (place / "fd").iterdir())
    assert [name.partition(":")[0] for name in opened if name.startswith("pipe")] == ["pipe", "pipe"]
    assert [name for name in opened if not name.startswith(("pipe", "/proc/"))] == ["/dev/null"]
    assert (place / "cwd").resolve() == Path("/")
    maps = (place / "maps").read_text()
    assert not any(library in maps for library in ("onnxruntime", "torch", "hnswlib", "numpy"))


@linux
def test_nothing_is_run_from_the_folder_that_it_is_started_in(tmp_path: Path) -> None:
    for name in ("json", "indexer", "tree_sitter", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'planted')!r}, 'w')\n")
    code = f"import sys; sys.path[0:0] = [{str(ROOT)!r}]\n" + PARENT
    done = subprocess.run(
        [sys.executable, "-P", "-c", code.replace("chunk(", "sys.path.insert(0, ''); chunk(", 1)],
        cwd=tmp_path, input=b"", capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout
    assert not (tmp_path / "planted").exists()


def test_where_no_process_can_be_started_this_one_reads_and_says_so_once(
    outliner: Outliner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: object, **__: object) -> object:
        raise PermissionError("not allowed")

    monkeypatch.setattr(subprocess, "Popen", refused)
    text = "def f():\n    return 1\n\n\n" * 200
    for again in (0.0, 0.0, 1e9):
        outliner._not_before = min(outliner._not_before, time.monotonic() - again)
        assert outline(outliner, text) == in_process(text)
    assert outliner.vets(b"x = 1\n" * 1_000, "python")
    assert len([record for record in caplog.records if "no process" in record.message]) == 1


def test_a_child_that_does_not_start_is_none(
    outliner: Outliner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_command", lambda: [sys.executable, "-c", "import no_such_module"])
    assert outline(outliner, "x = 1\n" * 1_000) is not None
    assert "ends with 1" in caplog.text
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.undo()


def test_a_child_that_answers_nonsense_is_not_believed(
    outliner: Outliner, monkeypatch: pytest.MonkeyPatch
) -> None:
    outline(outliner, "x = 1\n")
    for answer in (b"", b"[", b"[1,2]", b'[[],[],[["a"]],[]]', b"\xff\xff", b'[[],[],[],[[9999999,"x"]]]'):
        monkeypatch.setattr(module._Child, "ask", lambda *_, told=answer: told)
        assert outline(outliner, "x = 1\n" * 1_000) is None
    monkeypatch.undo()
    assert outline(outliner, "x = 1\n" * 1_000) is not None
