"""A session whose coder is on a server: who answers, what the status says, and that a repository cannot choose it."""

from __future__ import annotations

import json
import threading
from functools import partial
from pathlib import Path

import pytest

from lsp_server import preparing
from lsp_server.loading import load_first, load_named, rests, who_answers
from lsp_server.settings import Settings, override
from model.engines.remote import health
from tests.lsp_server.test_takeover import Typed
from tests.lsp_server.test_takeover import serving as ready_session
from tests.lsp_server.waiting import until
from tests.servers.fake_vllm import FakeVllm, serving
from tests.tiny_checkpoint import write_tiny_checkpoint

PLAIN = ("server.watch=false", "drafts.packages=false", "completion.minConfidence=0", "recall.enabled=false")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("embedded"), seed=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("served"), seed=7)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(preparing, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(health, "FIRST_SECONDS", 0.2)
    (tmp_path / "repository").mkdir()
    return tmp_path / "repository"


def settings_for(fake: FakeVllm, folder: Path, *changes: str) -> Settings:
    server = (f"model.name={folder}", f"model.server={fake.address}", "model.deadlineMs=5000")
    return override(Settings(), (*PLAIN, *server, *changes))


@pytest.mark.asyncio
async def test_a_server_answers_and_when_it_is_gone_the_next_keystroke_is_answered_here(
    root: Path, embedded: Path, folder: Path
) -> None:
    with serving(FakeVllm(folder)) as fake:
        settings = settings_for(fake, folder)
        async with ready_session(root, partial(load_first, embedded=embedded), settings) as (session, client):
            await until(lambda: " answers on 127.0.0.1" in " ".join(session.status().notes))
            document = Typed(session, root / "open.py")
            await document.type("a = b")
            assert len(fake.questions()) == 1
            fake.status = 500
            await document.type("\nc = d")
            assert len(fake.questions()) == 2
            told = "embedded-tiny answers, because 127.0.0.1:"
            await until(lambda: any(told in " ".join(status.notes) for status in client.statuses))
            await document.type("\ne = f")
            assert len(fake.questions()) == 2
            fake.status = 0
            while len(fake.questions()) == 2:
                await document.type("\ng = h")
            assert " answers on 127.0.0.1" in " ".join(session.status().notes)
    assert not any(thread.name == "hef-remote" for thread in threading.enumerate())


@pytest.mark.asyncio
async def test_a_server_that_cannot_be_asked_at_all_leaves_the_tiny_coder(
    root: Path, embedded: Path, folder: Path
) -> None:
    settings = override(Settings(), (*PLAIN, f"model.name={folder}", "model.server=http://coder.example.org"))
    async with ready_session(root, partial(load_first, embedded=embedded), settings) as (session, _):
        assert session.status().model.startswith("embedded-tiny")
        assert any("model.server must begin with https" in note for note in session.status().notes)


def test_a_command_waits_for_the_news_and_says_who_answers(embedded: Path, folder: Path) -> None:
    with serving(FakeVllm(folder)) as fake:
        settings = settings_for(fake, folder)
        coder = load_named(settings, embedded)
        assert coder.elsewhere is not None
        assert "answers on 127.0.0.1" in who_answers(settings, coder)
        assert not rests(settings, coder)
        coder.elsewhere.close()


def test_only_the_user_names_a_server() -> None:
    package = json.loads(Path("editors/vscode/package.json").read_text("utf-8"))
    groups = package["contributes"]["configuration"]
    scopes = {name: schema.get("scope") for group in groups for name, schema in group["properties"].items()}
    assert scopes["hef-lsp.model.server"] == "application"
    assert scopes["hef-lsp.model.serverKeyFile"] == "application"
