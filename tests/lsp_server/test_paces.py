"""What is kept of how fast a coder was here."""

from __future__ import annotations

import json
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.caches import caches, delete
from lsp_server import paces
from lsp_server.paces import BELIEVED_SECONDS, KeptPace
from model.pace import Pace
from model.settings import DEFAULT_MODEL

PACE = Pace(448, 220.0, 20.0)  # needs 240 ms


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_is_kept_for_this_user_alone_and_can_be_purged(home: Path) -> None:
    KeptPace("coder", DEFAULT_MODEL).put(PACE)
    assert KeptPace("coder", DEFAULT_MODEL).get(1000.0) == PACE
    (file,) = home.rglob("pace.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    (cache,) = caches(30)
    assert (cache.shared, delete(cache)) == ("how fast models are here", "")
    assert not list(home.rglob("*.json"))


def test_another_coder_machine_version_or_way_to_compute_has_its_own(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    KeptPace("coder", DEFAULT_MODEL).put(PACE)
    assert KeptPace("other", DEFAULT_MODEL).get(1000.0) is None
    for changes in ({"threads": 4}, {"window_tokens": 256}, {"dtype": "float32"}):
        assert KeptPace("coder", replace(DEFAULT_MODEL, **changes)).get(1000.0) is None
    for changes in (
        {"deadline_ms": 5.0},
        {"name": "embedded-large"},
        {"offline": False},
        {"idle_minutes": 5.0},
    ):
        assert KeptPace("coder", replace(DEFAULT_MODEL, **changes)).get(1000.0) == PACE
    for name in ("processor", "processors", "own_version", "has_cuda"):
        with monkeypatch.context() as patched:
            patched.setattr(paces, name, lambda: "another")
            assert KeptPace("coder", DEFAULT_MODEL).get(1000.0) is None


def test_a_bad_one_is_believed_for_a_while_and_a_good_one_for_good(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    KeptPace("coder", DEFAULT_MODEL).put(PACE)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + BELIEVED_SECONDS - 60)
    assert KeptPace("coder", DEFAULT_MODEL).get(200.0) == PACE
    monkeypatch.setattr(time, "time", lambda: now + BELIEVED_SECONDS + 60)
    assert KeptPace("coder", DEFAULT_MODEL).get(200.0) is None
    assert KeptPace("coder", DEFAULT_MODEL).get(240.0) == PACE
    monkeypatch.setattr(time, "time", lambda: now - 60)  # the clock was wrong then, or is now
    assert KeptPace("coder", DEFAULT_MODEL).get(1000.0) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"\xff" * 10,
        b" " * 10_000,
        json.dumps({"prompt_tokens": 448}).encode(),
        json.dumps({"prompt_tokens": 0, "prompt_ms": 1, "token_ms": 1, "measured": 1}).encode(),
        b'{"prompt_tokens": 448, "prompt_ms": NaN, "token_ms": 1, "measured": 1}',
        b'{"prompt_tokens": 448, "prompt_ms": -900, "token_ms": 1, "measured": 1}',
        b'{"prompt_tokens": 1e999, "prompt_ms": 1, "token_ms": 1, "measured": 1}',
        b'{"prompt_tokens": 448, "prompt_ms": Infinity, "token_ms": 1, "measured": 1}',
        b'{"prompt_tokens": null, "prompt_ms": 1, "token_ms": 1, "measured": 1}',
        b"[" * 500,
        b"[" * 4_000,
    ],
)
def test_what_is_no_pace_is_measured_again(home: Path, content: bytes) -> None:
    kept = KeptPace("coder", DEFAULT_MODEL)
    kept.put(PACE)
    (file,) = home.rglob("pace.json")
    file.write_bytes(content)
    assert kept.get(1000.0) is None
    kept.put(PACE)
    assert kept.get(1000.0) == PACE


def test_where_it_cannot_be_kept_nothing_is_lost(home: Path) -> None:
    home.write_text("a file where the folder should be")
    kept = KeptPace("coder", DEFAULT_MODEL)
    kept.put(PACE)
    assert kept.get(1000.0) is None
