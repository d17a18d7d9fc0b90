"""Which coder is loaded, with two real checkpoints of a few hundred kilobytes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from lsp_server import loading
from lsp_server.coder import LoadedCoder, StaysError
from lsp_server.loading import load_coder, load_first, load_named, why_tiny
from lsp_server.settings import Settings, override
from model.checkpoint.files import NoRoomError, WeightsError
from model.completer import Completer
from model.news import to_nobody
from model.pace import Pace
from tests.tiny_checkpoint import write_tiny_checkpoint
from tests.two_checkpoints import write_two_checkpoints

FAST, SLOW = Pace(448, 300.0, 20.0), Pace(448, 2420.0, 20.0)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_two_checkpoints(tmp_path_factory.mktemp("embedded") / "pretrained")


@pytest.fixture(autouse=True)
def paces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Pace]:
    """What is measured, the next one last; all that were are gone from it."""
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    paces: list[Pace] = []
    monkeypatch.setattr(Completer, "pace", lambda self, asked: paces.pop())
    return paces


def name_of(coder: LoadedCoder) -> str:
    return coder.description.split(" (")[0]


def named(name: str, *more: str) -> Settings:
    return override(Settings(), (f"model.name={name}", *more))


def successor_of(coder: LoadedCoder, settings: Settings) -> LoadedCoder:
    assert coder.successor is not None
    return coder.successor.load(settings, to_nobody)


def test_without_a_large_one_the_embedded_one_is_what_it_was(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path)
    for load in (load_first, load_named):
        coder = load(Settings(), folder)
        assert name_of(coder) == "embedded"
        assert (coder.successor, coder.notes, coder.pace) == (None, (), None)
        assert coder.fingerprint == load_coder(named("embedded-tiny"), embedded=folder).fingerprint


def test_in_an_editor_the_tiny_one_comes_first_and_shares_its_fuser(
    embedded: Path, paces: list[Pace]
) -> None:
    paces[:] = [FAST]
    tiny = load_first(Settings(), embedded)
    large = successor_of(tiny, Settings())
    assert (name_of(tiny), name_of(large)) == ("embedded-tiny", "embedded-large")
    assert large.encoder is tiny.encoder
    assert large.fingerprint != tiny.fingerprint
    assert large.tokenizer is not None
    assert tiny.tokenizer is not None
    assert large.tokenizer.fingerprint != tiny.tokenizer.fingerprint
    assert (large.pace, large.successor) == (FAST, None)


def test_only_the_tiny_one_is_loaded_for_who_names_it(embedded: Path) -> None:
    tiny = load_first(named("embedded-tiny"), embedded)
    assert (name_of(tiny), tiny.successor) == ("embedded-tiny", None)


@pytest.mark.parametrize("load", [load_first, load_named])
def test_a_machine_that_is_too_slow_keeps_the_tiny_one_and_says_why(
    embedded: Path, paces: list[Pace], load: object
) -> None:
    paces[:] = [SLOW]
    if load is load_named:
        coder = load_named(Settings(), embedded)
        (said,) = coder.notes
        assert name_of(coder) == "embedded-tiny"
    else:
        with pytest.raises(StaysError) as refused:
            successor_of(load_first(Settings(), embedded), Settings())
        said = str(refused.value)
        assert refused.value.needs_ms == SLOW.needs_ms
    assert said == (
        "embedded-tiny answers, because on this machine embedded-large takes about 2,440 ms to begin at a new place "
        "and 240 ms for a line: set model.deadlineMs (1,000) to 2,440 or more, or model.name to embedded-large."
    )


def test_what_was_measured_once_is_believed_and_a_longer_deadline_lets_it_pass(
    embedded: Path, paces: list[Pace], monkeypatch: pytest.MonkeyPatch
) -> None:
    paces[:] = [SLOW]
    tiny = load_first(Settings(), embedded)
    with pytest.raises(StaysError):
        successor_of(tiny, Settings())
    with monkeypatch.context() as patched:
        patched.setattr(loading, "load_coder", lambda *_, **__: pytest.fail("it was loaded all the same"))
        with pytest.raises(StaysError):
            successor_of(tiny, Settings())
    longer = named("embedded", "model.deadlineMs=2440")
    assert successor_of(tiny, longer).pace == SLOW
    assert load_named(longer, embedded).pace == SLOW


def test_who_names_the_large_one_gets_it_however_slow(embedded: Path, paces: list[Pace]) -> None:
    paces[:] = [SLOW]
    large = named("embedded-large")
    tiny = load_first(large, embedded)
    assert name_of(tiny) == "embedded-tiny"
    assert name_of(successor_of(tiny, large)) == "embedded-large"
    assert name_of(load_named(large, embedded)) == "embedded-large"


def test_a_folder_is_waited_for_in_an_editor_and_insisted_on_by_a_command(
    embedded: Path, tmp_path: Path, paces: list[Pace]
) -> None:
    folder = write_tiny_checkpoint(tmp_path / "mine", adapter=False, seed=5)
    settings = named(str(folder))
    paces[:] = [SLOW]
    tiny = load_first(settings, embedded)
    assert (name_of(tiny), tiny.notes) == ("embedded-tiny", ())
    with pytest.raises(StaysError, match=r"mine takes about 2,440 ms .* to 2,440 or more\.$"):
        successor_of(tiny, settings)
    assert name_of(load_named(settings, embedded)) == str(folder)
    paces[:] = [FAST]
    assert load_named(settings, embedded, timed=True).pace == FAST


def test_an_adapter_is_the_named_model_s(embedded: Path, tmp_path: Path, paces: list[Pace]) -> None:
    folder = write_tiny_checkpoint(tmp_path / "mine", seed=5)
    settings = named(str(folder), f"model.adapter={folder}")
    paces[:] = [FAST]
    tiny = load_first(settings, embedded)
    assert tiny.notes == ()
    assert successor_of(tiny, settings).notes == ()


def test_a_coder_that_cannot_be_loaded_leaves_the_tiny_one(embedded: Path, tmp_path: Path) -> None:
    absent = named(str(tmp_path / "absent"))
    tiny = load_first(absent, embedded)
    with pytest.raises(WeightsError) as refused:
        successor_of(tiny, absent)
    said = why_tiny("absent", refused.value)
    assert said.startswith("embedded-tiny answers, because absent cannot be loaded: no model at ")
    with pytest.raises(WeightsError):
        load_named(absent, embedded)
    with pytest.raises(WeightsError, match="this installation has no large model"):
        load_named(named("embedded-large"), write_tiny_checkpoint(tmp_path / "bare"))


def test_a_damaged_large_one_is_named(embedded: Path, tmp_path: Path) -> None:
    folder = write_two_checkpoints(tmp_path / "pretrained")
    (folder / "large" / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    coder = load_named(Settings(), folder)
    assert name_of(coder) == "embedded-tiny"
    assert "config.json was changed or damaged" in coder.notes[0]
    (folder / "large" / "SHA256SUMS").unlink()
    assert "cannot be trusted" in load_named(Settings(), folder).notes[0]


def test_without_room_for_both_the_figures_are_said(embedded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.engines.onnx.engine.free_bytes", lambda: 1_000)
    with pytest.raises(NoRoomError) as refused:
        load_coder(named("embedded-large"), embedded=embedded)
    assert (refused.value.available, refused.value.needed > 1_000) == (1_000, True)
    assert why_tiny("embedded-large", NoRoomError(412_000_000, 230_000_000, "")) == (
        "embedded-tiny answers, because embedded-large needs 0.4 GB of memory and 0.2 GB are free: close something and "
        "restart the server, or set model.name to embedded-tiny."
    )


def test_without_a_tiny_one_the_named_one_answers_from_the_beginning(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path / "mine", adapter=False)
    coder = load_first(named(str(folder)), tmp_path / "absent")
    assert (name_of(coder), coder.successor) == (str(folder), None)
    damaged = write_tiny_checkpoint(tmp_path / "pretrained")
    (damaged / "model.safetensors").write_bytes(b"")
    whole = write_tiny_checkpoint(tmp_path / "with its own adapter")
    coder = load_first(named(str(whole)), damaged)
    assert (name_of(coder), coder.successor) == (str(whole), None)


def test_a_bad_pace_is_measured_again_after_a_while(
    embedded: Path, tmp_path: Path, paces: list[Pace]
) -> None:
    paces[:] = [SLOW]
    assert load_named(Settings(), embedded).notes
    (kept,) = (tmp_path / "cache").rglob("pace.json")
    raw = json.loads(kept.read_text())
    kept.write_text(json.dumps(raw | {"measured": time.time() - 2 * 86_400}))
    paces[:] = [FAST]
    assert load_named(Settings(), embedded).pace == FAST
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"measured": time.time() - 400 * 86_400}))
    assert load_named(Settings(), embedded).pace == FAST  # a good one is believed for good
