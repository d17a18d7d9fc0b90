"""The real vLLM writes what the same weights write here, stops when nobody waits, and may die in the middle."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.completer import Completer
from model.engines.remote.loading import Elsewhere, load_elsewhere
from model.loading import load_from_settings
from model.request import Completion, Request
from model.settings import EMBEDDED_TINY, DraftSettings, ModelSettings, RecallSettings
from tests.model.found_item import FoundItem
from tests.scale.vllm_server import ROOT, VLLM_KEY, RunningVllm, served_folder, vllm, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "-"),
]
SETTINGS = ModelSettings(name=EMBEDDED_TINY, dtype="float32", deadline_ms=60_000)
PLAIN, NO_DRAFTS = RecallSettings(enabled=False), DraftSettings(enabled=False)
EMBEDDED = ROOT / "model" / "pretrained"
SOURCES = ("indexer/exact.py", "indexer/imports.py", "model/pace.py", "lsp_server/closers.py")
N_PLACES = 24
N_USERS, N_KEYS, KEY_SECONDS = 8, 12, 0.2


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("remote")


@pytest.fixture(scope="module")
def folder(scratch: Path) -> Path:
    return served_folder(scratch / "tiny")


@pytest.fixture(scope="module")
def server(folder: Path, scratch: Path) -> Iterator[RunningVllm]:
    with vllm(folder, scratch) as running:
        yield running


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Elsewhere]]:
    monkeypatch.setenv("HEF_SERVER_KEY", VLLM_KEY)
    loaded: list[Elsewhere] = []

    def load(address: str) -> Elsewhere:
        found = load_elsewhere(replace(SETTINGS, server=address), PLAIN, DraftSettings(), EMBEDDED)
        loaded.append(found)
        found.server.wait(60)
        assert found.server.health.standing.is_well, found.completer.sentence
        return found

    yield load
    for found in loaded:
        found.server.close()


def requests(mode: str, n: int = N_PLACES) -> list[Request]:
    """Cursors spread over files of this repository, at word ends and in the middle of words and lines."""
    texts = [(name, (ROOT / name).read_text("utf-8")) for name in SOURCES]
    found = []
    for number in range(n):
        name, text = texts[number % len(texts)]
        cut = 900 + (number * 389) % (len(text) - 1200)
        found.append(
            Request(name, text[:cut], text[cut + 30 :], context=mode, max_tokens=24, deadline_ms=60_000)
        )
    return found


def context_of(elsewhere: Elsewhere) -> list[FoundItem]:
    """Eight pieces of another file, with the memories that the fuser makes of them."""
    lines = (ROOT / "indexer" / "hierarchy.py").read_text("utf-8").splitlines(keepends=True)
    texts = ["".join(lines[start : start + 12]) for start in range(20, 116, 12)]
    assert elsewhere.model.encoder is not None
    memories = elsewhere.model.encoder.embed(texts).memories
    return [
        FoundItem("indexer/hierarchy.py", text, memory=memory)
        for text, memory in zip(texts, memories, strict=True)
    ]


@pytest.mark.parametrize("mode", ["none", "snippets", "pseudo"])
def test_remote_tokens_equal_local_tokens(
    server: RunningVllm, load: Callable[[str], Elsewhere], mode: str, record_property: Callable[..., None]
) -> None:
    """Where a text is cut within a word, vectors' neighbors are read as a few other tokens: such places are counted."""
    elsewhere = load(server.address)
    items = context_of(elsewhere)
    local = Completer(load_from_settings(SETTINGS, embedded=EMBEDDED), SETTINGS, drafts=NO_DRAFTS)
    differing = []
    for request in requests(mode):
        expected = local.complete(request, lambda query: items)
        result = elsewhere.completer.complete(request, lambda query: items)
        assert result.mode == expected.mode == mode
        assert elsewhere.server.health.standing.is_well, elsewhere.completer.sentence
        if (result.text, result.tokens) != (expected.text, expected.tokens):
            differing.append((expected.text, result.text))
    print(f"\n{mode}: {N_PLACES - len(differing)} of {N_PLACES} places have the same tokens; {differing}")
    assert len(differing) <= (2 if mode == "pseudo" else 0)


def test_no_further_token_is_generated_for_one_who_typed_on(
    server: RunningVllm, load: Callable[[str], Elsewhere]
) -> None:
    elsewhere = load(server.address)
    grown = []
    for request in requests("none", 6):
        cancelled = threading.Event()
        seen: list[str] = []

        def finished(text: str, seen: list[str] = seen, cancelled: threading.Event = cancelled) -> bool:
            seen.append(text)
            if len(seen) >= 4:
                cancelled.set()
            return False

        long = replace(request, max_tokens=400, finished=finished)
        result = elsewhere.completer.complete(long, None, cancelled.is_set)
        if result.stopped != "cancelled":
            continue  # the model ended it
        time.sleep(0.1)
        then = server.metric("vllm:generation_tokens_total")
        time.sleep(0.7)
        grown.append(server.metric("vllm:generation_tokens_total") - then)
        assert server.metric("vllm:num_requests_running") == 0
    print(f"\ntokens more than 100 ms after a cancel: {grown}")
    assert len(grown) >= 3
    assert not any(grown)


class Typist:
    """One of several users, who types on every KEY_SECONDS, whether there was an answer or not."""

    def __init__(self, elsewhere: Elsewhere, items: Sequence[FoundItem], number: int) -> None:
        self._completer = elsewhere.completer._remote
        self._items = items
        self._request = requests("pseudo" if number % 2 else "snippets", N_USERS)[number]
        self.first_ms: list[float] = []
        self.n_cut = 0

    def type(self) -> None:
        prefix, rest = self._request.prefix[:-N_KEYS], self._request.prefix[-N_KEYS:]
        for key in rest:
            prefix += key
            started, told = time.perf_counter(), []

            def finished(text: str, started: float = started, told: list[float] = told) -> bool:
                told.append((time.perf_counter() - started) * 1e3)
                return "\n" in text.lstrip("\n")

            request = replace(self._request, prefix=prefix, finished=finished)
            over = started + KEY_SECONDS
            self._completer.complete(
                request, lambda query: self._items, lambda over=over: time.perf_counter() > over
            )
            self.first_ms += told[:1]
            self.n_cut += not told
            time.sleep(max(0.0, over - time.perf_counter()))


def test_eight_users_type_at_once(server: RunningVllm, load: Callable[[str], Elsewhere]) -> None:
    report = {}
    for n_users in (1, N_USERS):
        loaded = [load(server.address) for _ in range(n_users)]
        typists = [Typist(one, context_of(one), number) for number, one in enumerate(loaded)]
        with ThreadPoolExecutor(n_users) as pool:
            list(pool.map(Typist.type, typists))
        first = [ms for typist in typists for ms in typist.first_ms]
        cuts = statistics.quantiles(first, n=20)
        report[n_users] = (len(first), cuts[9], cuts[18], sum(typist.n_cut for typist in typists))
    for n_users, (n, p50, p95, n_cut) in report.items():
        print(
            f"\n{n_users} users: {n} first tokens, p50 {p50:.0f} ms, p95 {p95:.0f} ms; {n_cut} typed over before"
        )
    assert report[N_USERS][0] >= N_USERS


def test_a_server_that_is_killed_in_the_middle_of_an_answer(
    folder: Path, scratch: Path, load: Callable[[str], Elsewhere]
) -> None:
    with vllm(folder, scratch) as doomed:
        elsewhere = load(doomed.address)
        request = requests("none")[0]
        seen: list[str] = []

        def finished(text: str) -> bool:
            seen.append(text)
            if len(seen) == 4:
                doomed.kill()
            return False

        result = elsewhere.completer.complete(replace(request, max_tokens=400, finished=finished), None)
        assert seen[3].startswith(result.text[: len(seen[3])])
        assert not elsewhere.server.health.standing.is_well
        started = time.perf_counter()
        next_one = elsewhere.completer.complete(
            replace(request, prefix=request.prefix + "x", deadline_ms=1000), None
        )
        ms = (time.perf_counter() - started) * 1e3
        print(f"\n{elsewhere.completer.sentence} The next keystroke was answered after {ms:.0f} ms.")
        assert isinstance(next_one, Completion)
        assert next_one.tokens
        assert ms < 1500


def test_vectors_of_the_wrong_width_and_garbage_are_refused_and_the_server_lives(
    server: RunningVllm, load: Callable[[str], Elsewhere]
) -> None:
    elsewhere = load(server.address)
    prompt = np.zeros((3, 8), np.float32)
    from model.engines.remote.questions import CHAT, Wanted, of_parts

    answer = elsewhere.server.ask(CHAT, of_parts([prompt, "x"], Wanted("tiny", 4, frozenset())))
    with pytest.raises(Exception, match="HTTP 400"):
        answer.next(30)
    assert elsewhere.completer.complete(requests("none")[0], None).tokens
