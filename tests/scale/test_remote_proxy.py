"""The recipe for nginx: TLS that is verified, a key per user, four paths and no others, streams that end with users."""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from model.engines.remote.loading import Elsewhere, load_elsewhere
from model.settings import DraftSettings
from tests.scale.remote_users import EMBEDDED, requests
from tests.scale.test_remote import PLAIN, SETTINGS
from tests.scale.vllm_server import (
    USERS,
    VLLM_KEY,
    RunningVllm,
    nginx,
    read,
    served_folder,
    vllm,
    why_not,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(why_not("nginx", "openssl")), reason=why_not("nginx", "openssl") or "-"),
]
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
    return tmp_path_factory.mktemp("proxy")


@pytest.fixture(scope="module")
def server(scratch: Path) -> Iterator[RunningVllm]:
    with vllm(served_folder(scratch / "tiny"), scratch) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(server: RunningVllm, scratch: Path) -> Iterator[tuple[str, Path]]:
    with nginx(server.address, scratch) as running:
        yield running


def status_of(url: str, certificate: Path, key: str, body: bytes | None = None) -> int:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"} if key else {}
    request = urllib.request.Request(url, data=body, headers=headers)
    trust = ssl.create_default_context(cafile=certificate)
    try:
        with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def load(address: str) -> Elsewhere:
    found = load_elsewhere(replace(SETTINGS, server=address), PLAIN, DraftSettings(), EMBEDDED)
    found.server.wait(60)
    return found


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
    elsewhere = load(address)
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
    assert request.prefix.splitlines()[-2].strip() not in logged
    assert "Bearer" not in (scratch / "hef-errors.log").read_text("utf-8")


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    proxy: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEF_SERVER_KEY", KEY)
    elsewhere = load(proxy[0])
    assert "has a certificate that this machine does not trust" in elsewhere.completer.sentence
    assert elsewhere.completer.complete(requests("none", 1)[0], None).tokens
    elsewhere.server.close()


def test_the_wrong_key_is_said(proxy: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEF_SERVER_KEY", "key-of-nobody")
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy[1]))
    elsewhere = load(proxy[0])
    assert "refuses the API key (HTTP 401)" in elsewhere.completer.sentence
    elsewhere.server.close()


def test_the_servers_own_metrics_are_for_the_administrator(server: RunningVllm) -> None:
    assert "vllm:num_requests_running" in read(f"{server.address}/metrics")
