"""The real vLLM writes what the same weights write here, stops when nobody waits, stands behind nginx, and may die."""

from __future__ import annotations

import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.completer import Completer
from model.engines.remote import client
from model.engines.remote.loading import Elsewhere, load_elsewhere
from model.engines.remote.questions import CHAT, Wanted, of_parts
from model.loading import load_from_settings
from model.request import Completion
from model.settings import EMBEDDED_TINY, DraftSettings, ModelSettings, RecallSettings
from tests.scale.remote_users import EMBEDDED, KEY_SECONDS, PATIENT_MS, context_of, requests, type_at_once
from tests.scale.vllm_server import USERS, VLLM_KEY, RunningVllm, nginx, served_folder, vllm, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(bool(why_not("nginx", "openssl")), reason=why_not("nginx", "openssl") or "-"),
]
SETTINGS = ModelSettings(name=EMBEDDED_TINY, dtype="float32", deadline_ms=PATIENT_MS)
PLAIN, NO_DRAFTS = RecallSettings(enabled=False), DraftSettings(enabled=False)
N_PLACES = 24
N_USERS = 8
DEADLINE_MS = 5_000.0  # of the keystroke behind a server's death, long enough for a busy machine
KEY = next(iter(USERS))
# What vLLM serves beside what is asked for; several of these are open even with --api-key.
OTHERS = (
    "/invocations",
    "/tokenize",
    "/detokenize",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/v1/embeddings",
    "/ping",
)


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
    monkeypatch.setattr(client, "SILENT_SECONDS", PATIENT_MS / 1e3)
    loaded: list[Elsewhere] = []

    def load(address: str) -> Elsewhere:
        found = load_elsewhere(replace(SETTINGS, server=address), PLAIN, DraftSettings(), EMBEDDED)
        loaded.append(found)
        found.server.wait(PATIENT_MS / 1e3)
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
    first = load(server.address)
    for mode in ("snippets", "pseudo"):  # a server's first answers are slow
        first.completer.complete(requests(mode, 1)[0], lambda query: context_of(first))
    # One core answers one user as fast as they type, eight of them not.
    for n_users, key_seconds in ((1, KEY_SECONDS), (N_USERS, 2.0)):
        found = type_at_once([load(server.address) for _ in range(n_users)], key_seconds)
        print(f"\n{found}")
        assert found.n_answered >= n_users


def test_vectors_of_the_wrong_width_and_garbage_are_refused_and_the_server_lives(
    server: RunningVllm, load: Callable[[str], Elsewhere]
) -> None:
    elsewhere = load(server.address)
    prompt = np.zeros((3, 8), np.float32)
    answer = elsewhere.server.ask(CHAT, of_parts([prompt, "x"], Wanted("tiny", 4, frozenset())))
    with pytest.raises(Exception, match="HTTP 400"):
        answer.next(30)
    assert elsewhere.completer.complete(requests("none", 1)[0], None).tokens


@pytest.fixture(scope="module")
def proxy(server: RunningVllm, scratch: Path) -> Iterator[tuple[str, Path]]:
    with nginx(server.address, scratch) as running:
        yield running


def asked_through(address: str) -> Elsewhere:
    found = load_elsewhere(replace(SETTINGS, server=address), PLAIN, DraftSettings(), EMBEDDED)
    found.server.wait(PATIENT_MS / 1e3)
    return found


def status_of(url: str, certificate: Path, key: str, body: bytes | None = None) -> int:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"} if key else {}
    request = urllib.request.Request(url, data=body, headers=headers)
    trust = ssl.create_default_context(cafile=certificate)
    try:
        with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_users_come_in_with_their_key_and_reach_nothing_else(proxy: tuple[str, Path]) -> None:
    address, certificate = proxy
    for key in USERS:
        assert status_of(f"{address}/v1/models", certificate, key) == 200
        assert status_of(f"{address}/health", certificate, key) == 200
        for path in OTHERS:
            assert status_of(f"{address}{path}", certificate, key) == 404
            assert status_of(f"{address}{path}", certificate, key, b"{}") == 404
    for key in ("", "other", VLLM_KEY, "key-of-ad"):
        for path in ("/v1/models", "/v1/completions", *OTHERS):
            assert status_of(f"{address}{path}", certificate, key, b"{}") == 401


def test_vllm_alone_leaves_paths_open(server: RunningVllm) -> None:
    """Why the proxy: the day this fails, its own key will do."""
    body = b'{"model": "tiny", "prompt": "x"}'
    request = urllib.request.Request(
        f"{server.address}/tokenize", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


def test_answers_come_through_it_and_end_with_who_asked(
    server: RunningVllm, proxy: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, scratch: Path
) -> None:
    address, certificate = proxy
    monkeypatch.setenv("HEF_SERVER_KEY", KEY)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    elsewhere = asked_through(address)
    assert elsewhere.server.health.standing.is_well, elsewhere.completer.sentence
    assert not elsewhere.server.offer.no_vectors
    seen: list[str] = []

    def finished(text: str) -> bool:
        seen.append(text)
        return len(seen) >= 4

    for request in requests("none", 4):
        seen.clear()
        result = elsewhere.completer.complete(replace(request, max_tokens=400, finished=finished), None)
        assert result.tokens
        time.sleep(0.1)
        then = server.metric("vllm:generation_tokens_total")
        time.sleep(0.5)
        assert server.metric("vllm:generation_tokens_total") == then
    elsewhere.server.close()
    logged = (scratch / "hef.log").read_text("utf-8")
    assert " ada POST /v1/completions 200 " in logged
    assert KEY not in logged
    assert max(request.prefix.splitlines(), key=len).strip() not in logged
    assert "Bearer" not in (scratch / "hef-errors.log").read_text("utf-8")


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    proxy: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEF_SERVER_KEY", KEY)
    elsewhere = asked_through(proxy[0])
    assert "has a certificate that this machine does not trust" in elsewhere.completer.sentence
    assert elsewhere.completer.complete(requests("none", 1)[0], None).tokens
    elsewhere.server.close()


def test_the_wrong_key_is_said(proxy: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEF_SERVER_KEY", "key-of-nobody")
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy[1]))
    elsewhere = asked_through(proxy[0])
    assert "refuses the API key (HTTP 401)" in elsewhere.completer.sentence
    elsewhere.server.close()


def test_a_server_that_is_killed_in_the_middle_of_an_answer(
    server: RunningVllm, load: Callable[[str], Elsewhere]
) -> None:
    """The last test: the server is gone behind it."""
    elsewhere = load(server.address)
    request = requests("none", 1)[0]
    seen: list[str] = []

    def finished(text: str) -> bool:
        seen.append(text)
        if len(seen) == 4:
            server.kill()
        return False

    result = elsewhere.completer.complete(replace(request, max_tokens=400, finished=finished), None)
    assert seen[3].startswith(result.text[: len(seen[3])])
    assert not elsewhere.server.health.standing.is_well
    started = time.perf_counter()
    next_one = elsewhere.completer.complete(
        replace(request, prefix=request.prefix + "x", deadline_ms=DEADLINE_MS), None
    )
    ms = (time.perf_counter() - started) * 1e3
    print(f"\n{elsewhere.completer.sentence} The next keystroke was answered after {ms:.0f} ms.")
    assert isinstance(next_one, Completion)
    assert next_one.tokens
    assert ms < DEADLINE_MS + 500
