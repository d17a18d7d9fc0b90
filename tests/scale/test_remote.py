"""The real vLLM writes what the same weights write here, stops when nobody waits, and may die in the middle."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.completer import Completer
from model.engines.remote.loading import Elsewhere, load_elsewhere
from model.engines.remote.questions import CHAT, Wanted, of_parts
from model.loading import load_from_settings
from model.request import Completion
from model.settings import EMBEDDED_TINY, DraftSettings, ModelSettings, RecallSettings
from tests.scale.remote_users import EMBEDDED, context_of, requests, type_at_once
from tests.scale.vllm_server import VLLM_KEY, RunningVllm, served_folder, vllm, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "-"),
]
SETTINGS = ModelSettings(name=EMBEDDED_TINY, dtype="float32", deadline_ms=60_000)
PLAIN, NO_DRAFTS = RecallSettings(enabled=False), DraftSettings(enabled=False)
N_PLACES = 24
N_USERS = 8


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


@pytest.mark.parametrize("mode", ["none", "snippets", "pseudo"])
def test_remote_tokens_equal_local_tokens(
    server: RunningVllm, load: Callable[[str], Elsewhere], mode: str, record_property: Callable[..., None]
) -> None:
    """Where a text is cut within a word, vectors' neighbors are read as a few other tokens: such places are counted."""
    elsewhere = load(server.address)
    items = context_of(elsewhere)
    local = Completer(load_from_settings(SETTINGS, embedded=EMBEDDED), SETTINGS, drafts=NO_DRAFTS)
    differing = []
    for request in requests(mode, N_PLACES):
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


def test_eight_users_type_at_once(server: RunningVllm, load: Callable[[str], Elsewhere]) -> None:
    for n_users in (1, N_USERS):
        found = type_at_once([load(server.address) for _ in range(n_users)])
        print(f"\n{found}")
        assert found.n_answered >= n_users


def test_a_server_that_is_killed_in_the_middle_of_an_answer(
    folder: Path, scratch: Path, load: Callable[[str], Elsewhere]
) -> None:
    with vllm(folder, scratch) as doomed:
        elsewhere = load(doomed.address)
        request = requests("none", 1)[0]
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
    answer = elsewhere.server.ask(CHAT, of_parts([prompt, "x"], Wanted("tiny", 4, frozenset())))
    with pytest.raises(Exception, match="HTTP 400"):
        answer.next(30)
    assert elsewhere.completer.complete(requests("none", 1)[0], None).tokens
