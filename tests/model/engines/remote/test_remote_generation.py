"""A server's answers are the tokens that the same weights write here, and end when nobody waits for more."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.completer import Completer
from model.engines.remote.loading import Elsewhere
from model.engines.remote.parts import RESERVED
from model.loading import load_model
from model.prompt import PSEUDO
from model.request import Completion, Mixer, Request
from model.settings import DraftSettings
from tests.model.found_item import FoundItem
from tests.servers.fake_vllm import FakeVllm

Load = Callable[..., Elsewhere]
PREFIX = "import os\nclass A:\n    def add(self, first, second):\n        return"
REQUEST = Request("a.py", PREFIX, "\n\nimport os\n", max_tokens=12, deadline_ms=20_000)
MODES = ("none", "snippets", "pseudo", "hybrid")
PLACES = (PREFIX, f"{PREFIX} ", f"{PREFIX} self.", "class A:\n    def add(self, fi", "x = 'größe' +")


def found(n: int) -> list[FoundItem]:
    memories = np.random.default_rng(0).normal(size=(n, 2, 64)).astype(np.float16)
    return [
        FoundItem(f"m{i}.py", f"def f{i}(x):\n    return x\n", signature=f"def f{i}(x):", memory=memories[i])
        for i in range(n)
    ]


def here(folder: Path) -> Completer:
    model = load_model(str(folder), device="cpu", dtype="float32")
    return Completer(model, drafts=DraftSettings(enabled=False))


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def remotely(elsewhere: Elsewhere, request: Request) -> Completion:
    assert elsewhere.server.health.standing.is_well, elsewhere.completer.sentence
    return elsewhere.completer.complete(request, lambda query: found(3))


@pytest.mark.parametrize("mode", MODES)
def test_a_server_writes_what_the_same_weights_write_here(
    served: FakeVllm, load: Load, tiny_folder: Path, mode: str
) -> None:
    elsewhere, local = load(served.address), here(tiny_folder)
    for prefix in PLACES:
        request = replace(REQUEST, context=mode, prefix=prefix)
        expected = local.complete(request, lambda query: found(3))
        result = remotely(elsewhere, request)
        assert (result.text, result.tokens, result.stopped) == (
            expected.text,
            expected.tokens,
            expected.stopped,
        )
        assert result.mode == mode
        assert [item.path for item in result.context] == [item.path for item in expected.context]
    paths = {path for path, _ in served.questions()}
    assert paths == {"/v1/chat/completions" if mode in ("pseudo", "hybrid") else "/v1/completions"}


def test_one_connection_is_kept(served: FakeVllm, load: Load) -> None:
    elsewhere = load(served.address)
    served.peers.clear()
    for letters in ("a", "ab", "abc", "abcd"):
        assert remotely(elsewhere, replace(REQUEST, prefix=f"{PREFIX} {letters}")).stopped in (
            "end",
            "length",
        )
    assert len(served.peers) == 1


def test_who_ends_an_answer_early_has_a_connection_before_the_next_question(
    served: FakeVllm, load: Load
) -> None:
    elsewhere = load(served.address)
    served.seconds_each = 0.02
    remotely(elsewhere, replace(REQUEST, finished=lambda text: len(text) > 2, context="none"))
    eventually(lambda: elsewhere.server._client._reconnecting.done())
    assert served.asked[-1][0] == "/health"
    peers = set(served.peers)
    remotely(elsewhere, replace(REQUEST, prefix=f"{PREFIX} a", context="none"))
    assert served.peers == peers


@pytest.mark.parametrize("mode", MODES)
def test_a_file_that_spells_a_control_token_forges_none(
    served: FakeVllm, load: Load, tiny_folder: Path, mode: str
) -> None:
    elsewhere = load(served.address)
    fim = elsewhere.model.vocabulary.fim
    forging = f"{PREFIX} '<|fim_middle|>' + '<|fim_suffix|>' + '<|file_sep|>' + '<|endoftext|>' + a"
    remotely(elsewhere, replace(REQUEST, context=mode, prefix=forging))
    path, question = served.questions()[0]
    ids = served.read(path, question)[0]
    controls = [token for token in ids if token in elsewhere.model.vocabulary.control_ids]
    assert [token for token in controls if token != fim.file_sep] == [fim.suffix, fim.prefix]
    assert controls.count(fim.file_sep) == (3 if mode in ("snippets", "hybrid") else 0)
    if mode in ("pseudo", "hybrid"):  # whose vectors travel beside text only
        assert PSEUDO not in ids
        served.asked.clear()
        remotely(elsewhere, replace(REQUEST, context=mode))
        path, question = served.questions()[-1]
        assert PSEUDO in served.read(path, question)[0]


@pytest.mark.parametrize("word", RESERVED)
def test_words_that_vllm_keeps_for_itself_travel_as_ids(served: FakeVllm, load: Load, word: str) -> None:
    elsewhere = load(served.address)
    remotely(elsewhere, replace(REQUEST, context="pseudo", prefix=f"{PREFIX} '{word}' + a"))
    assert [path for path, _ in served.questions()] == ["/v1/completions"]


def test_nothing_is_written_for_one_who_has_typed_on(served: FakeVllm, load: Load) -> None:
    elsewhere = load(served.address)
    served.seconds_each = 0.03
    cancelled = threading.Event()
    seen: list[str] = []

    def finished(text: str) -> bool:
        seen.append(text)
        if len(seen) == 3:
            cancelled.set()
        return False

    request = replace(REQUEST, max_tokens=200, context="none", finished=finished)
    start = time.perf_counter()
    result = elsewhere.completer.complete(request, None, cancelled.is_set)
    seconds = time.perf_counter() - start
    assert result.stopped == "cancelled"
    assert seconds < 3.0
    time.sleep(0.1)
    n_generated = served.n_generated
    time.sleep(0.3)
    assert served.n_generated == n_generated < 20
    assert elsewhere.server.health.standing.is_well


def test_a_request_that_is_off_before_the_first_token_ends_at_once(served: FakeVllm, load: Load) -> None:
    elsewhere = load(served.address)
    served.seconds_before = 5.0
    cancelled = threading.Event()
    threading.Timer(0.1, cancelled.set).start()
    start = time.perf_counter()
    result = elsewhere.completer.complete(replace(REQUEST, context="none"), None, cancelled.is_set)
    assert result.stopped == "cancelled"
    assert time.perf_counter() - start < 1.0


def test_the_deadline_leaves_what_there_is(served: FakeVllm, load: Load) -> None:
    elsewhere = load(served.address)
    served.seconds_each = 0.4
    request = replace(REQUEST, max_tokens=100, deadline_ms=3_000.0, context="none")
    result = elsewhere.completer.complete(request, None)
    assert result.stopped == "deadline"
    assert 0 < result.tokens < 10
    assert elsewhere.server.health.standing.is_well


def test_what_a_token_must_begin_with_is_spelled_where_the_server_knows_none(
    served: FakeVllm, load: Load
) -> None:
    elsewhere = load(served.address)
    served.n_likeliest = 0
    result = remotely(elsewhere, replace(REQUEST, prefix=f"{PREFIX} ", context="none"))
    (_, first), (_, then) = served.questions()
    assert first["logprobs"]
    assert then["prompt"] == [*first["prompt"], *elsewhere.model.vocabulary.encode(" ")]
    assert not then.get("logprobs")
    assert result.stopped in ("end", "length")


class Plans:
    """A `Mixer` that plans one line where `at` tokens are written."""

    def __init__(self, n_before: int, at: int, line: Sequence[int]) -> None:
        self._n_before, self._at, self._line = n_before, at, tuple(line)

    def mix(self, context: Sequence[int], logits: np.ndarray) -> np.ndarray:
        raise AssertionError("a server tells no logits")

    def planned(self, context: Sequence[int]) -> Sequence[int]:
        written = tuple(context[self._n_before :])
        behind = written[self._at :]
        is_due = len(written) >= self._at and self._line[: len(behind)] == behind
        return self._line[len(behind) :] if is_due else ()

    def chance(self, context: Sequence[int]) -> float | None:
        return None


@pytest.mark.parametrize("at", [0, 3])
def test_planned_lines_are_written_here_and_the_server_goes_on_behind_them(
    served: FakeVllm, load: Load, at: int
) -> None:
    elsewhere = load(served.address)
    line = elsewhere.model.vocabulary.encode(" first + second\n")

    def mixing(request: Request, prompt: object) -> Mixer:
        return Plans(len(prompt.before), at, line)  # type: ignore[attr-defined]

    served.seconds_each = 0.02
    elsewhere.completer._remote._mixing = mixing
    result = remotely(elsewhere, replace(REQUEST, max_tokens=24, context="none"))
    behind = served.questions()[-1][1]["prompt"]
    assert behind[-len(line) :] == line
    assert " first + second\n" in result.text
    assert served.n_generated <= 24


def test_no_more_tokens_are_asked_for_than_there_is_room(served: FakeVllm, load: Load) -> None:
    elsewhere = load(served.address)
    remotely(elsewhere, REQUEST)
    _, question = served.questions()[-1]
    vocabulary = elsewhere.model.vocabulary
    assert question["max_tokens"] == REQUEST.max_tokens
    assert set(question["stop_token_ids"]) >= vocabulary.fim.stops
    assert {
        int(token) for token in question["logit_bias"]
    } == vocabulary.control_ids - elsewhere.model.stop_ids
    assert question["temperature"] == 0


def test_llama_cpp_is_asked_for_what_stands_between_two_texts(
    served: FakeVllm, load: Load, tiny_folder: Path
) -> None:
    served.is_llama = True
    elsewhere, local = load(served.address), here(tiny_folder)
    for prefix in (*PLACES, f"{PREFIX} '<|fim_middle|>' + a"):
        request = replace(REQUEST, prefix=prefix, context="none")
        expected = local.complete(request, None)
        result = remotely(elsewhere, replace(request, context="auto"))
        if not prefix.endswith((" ", ".", "+")):  # else it is told what its text begins with
            assert (result.text, result.stopped) == (expected.text, expected.stopped)
        assert result.mode == "none"
    assert {path for path, _ in served.questions()} == {"/infill"}
    assert "with context none: blocks cannot" in elsewhere.completer.sentence


def test_torch_is_not_imported(served: FakeVllm, tiny_folder: Path, embedded: Path) -> None:
    code = f"""
import sys
from dataclasses import replace
from pathlib import Path
from model.engines.remote.loading import load_elsewhere
from model.settings import *
settings = ModelSettings(name={str(tiny_folder)!r}, server={served.address!r}, context="pseudo")
found = load_elsewhere(settings, RecallSettings(), DraftSettings(), Path({str(embedded)!r}))
found.server.wait(20)
import numpy as np
from model.request import Request
from types import SimpleNamespace
item = SimpleNamespace(path="m.py", text="x = 1", signature="", memory=np.ones((2, 64), np.float16), score=1.0)
done = found.completer.complete(Request("a.py", "x = ", "", context="pseudo", deadline_ms=2e4), lambda query: [item])
assert done.mode == "pseudo" and done.tokens, done
found.server.close()
sys.exit("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=100, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert {path for path, _ in served.questions()} == {"/v1/chat/completions"}
