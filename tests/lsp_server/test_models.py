"""`--models`: what is listed, and fetching one, from a hub on loopback."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lsp_server import cli
from lsp_server.coming import Rate, coming
from lsp_server.doctor import doctor
from lsp_server.paces import KeptPace
from lsp_server.settings import Settings, override
from model.checkpoint.hub_cache import HubFolder
from model.checkpoint.opening import read_checkpoint
from model.news import News
from model.pace import Pace
from model.settings import ModelSettings
from tests.servers.fake_hub import FakeHub, files_of, serving
from tests.tiny_checkpoint import write_tiny_checkpoint

NAME = "org/tiny"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"), adapter=False)


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with serving(FakeHub(NAME, files_of(folder))) as served:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", served.endpoint)
        yield served


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, object]]:
    assert cli.main(["--models", "--json", *arguments]) == 0
    return {model["name"]: model for model in json.loads(capsys.readouterr().out)["models"]}


def test_pull_fetches_and_says_what_comes_next(served: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--models", "pull", NAME]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0].startswith(f"{NAME} is here: ")
    assert f"`hef-lsp --doctor --set model.name={NAME}`" in out
    assert err == ""  # no terminal
    model = listed(capsys)[NAME]
    assert (model["place"], model["fits"], model["problem"], model["chosen"]) == (
        "hub cache",
        True,
        "",
        False,
    )
    assert int(str(model["bytes"])) > 100_000


def test_pull_goes_on_where_it_stopped(
    served: FakeHub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    served.silent_after = len(served.files["model.safetensors"]) // 2
    assert cli.main(["--models", "pull", NAME]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "MB are kept" in err
    kept = HubFolder(NAME).partial_bytes()
    assert "is here in part" in str(listed(capsys)[NAME]["problem"])
    served.silent_after = None
    assert cli.main(["--models", "pull", NAME]) == 0
    assert any(f"bytes={kept}-" in line for line in served.asked)


def test_a_bar_stands_on_a_terminal(
    served: FakeHub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert cli.main(["--models", "pull", NAME]) == 0
    err = capsys.readouterr().err
    assert f"\r[########################] {NAME}: fetching " in err
    assert err.endswith("\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["pull"], 2, "stands alone, or before `pull NAME`"),
        (["push", NAME], 2, "stands alone, or before `pull NAME`"),
        (["pull", "embedded"], 2, "wants a hub id such as Qwen/Qwen2.5-Coder-0.5B, not 'embedded'"),
        (["pull", "org/absent"], 1, "the hub has no org/absent"),
        (["pull", NAME, "--set", "model.revision=v9"], 1, "org/tiny has no revision v9: set model.revision"),
    ],
)
def test_what_cannot_be_pulled_is_told_in_a_sentence(
    served: FakeHub, arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--models", *arguments]) == code
    out, err = capsys.readouterr()
    assert said in err
    assert (out, err.count("\n")) == ("", 1)


def test_the_list_says_what_is_here_what_is_chosen_and_how_fast_it_was(
    folder: Path, served: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--models", "pull", NAME]) == 0
    settings = ModelSettings(name=NAME)
    KeptPace(read_checkpoint(folder).fingerprint(), settings).put(Pace(448, 2_000.0, 20.0))
    capsys.readouterr()
    models = listed(capsys)
    assert {"embedded-tiny", NAME, "Qwen/Qwen2.5-Coder-0.5B"} <= models.keys()
    assert models[NAME]["begin_ms"] == 2_020.0
    assert models["Qwen/Qwen2.5-Coder-0.5B"]["place"] == "hub"

    assert cli.main(["--models", "--set", f"model.name={NAME}"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"* {NAME} ")]
    assert "about 2,020 ms until the first token at a new place" in line
    assert "in an editor embedded-tiny answers. Set model.deadlineMs (1,000) to 2,020 or more" in line

    assert cli.main(["--models", "--set", f"model.name={folder}"]) == 0  # the same weights by folder
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"* {folder} ")]
    assert "about 2,020 ms" in line


def test_what_has_no_room_or_cannot_be_used_is_told(
    served: FakeHub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["--models", "pull", NAME]) == 0
    other = HubFolder("someone/bert").snapshot("0" * 40)
    other.mkdir(parents=True)
    (other / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (other / "tokenizer.json").write_text("{}")
    (HubFolder("someone/bert").folder / "refs").mkdir()
    (HubFolder("someone/bert").folder / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("model.engines.onnx.engine.free_bytes", lambda: 1_000)
    capsys.readouterr()
    assert cli.main(["--models", "--set", "model.device=cpu"]) == 0
    out = capsys.readouterr().out
    assert "does not fit: needs " in out
    assert "Of no use here: someone/bert (--json says why)" in out
    assert "architecture 'bert'" in str(listed(capsys)["someone/bert"]["problem"])


def test_a_name_that_is_nothing_is_told_in_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no model at nonsense" in str(
        listed(capsys, "--set", "model.name=nonsense")["nonsense"]["problem"]
    )
    assert listed(capsys, "--set", "model.name=org/other")["org/other"]["place"] == "hub"


def test_the_doctor_fetches_nothing_and_names_the_command_that_does(
    served: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = override(Settings(), (f"model.name={NAME}", "model.offline=false"))
    assert doctor(settings, tmp_path, as_json=False) == 1
    assert capsys.readouterr().out.splitlines()[-1] == f"Next: Run `hef-lsp --models pull {NAME}`."
    assert served.asked == []


def test_the_words_of_a_model_that_comes() -> None:
    assert coming("m", News("fetching"), 0.0).message == "asking the hub"
    assert coming("m", News("fetching", 120_000_000, 988_000_000), 0.0).line == "m: fetching 120 of 988 MB"
    said = coming("m", News("fetching", 120_000_000, 988_000_000), 3_200_000.0)
    assert (said.message, said.percentage) == ("fetching 120 of 988 MB, 3.2 MB/s, about 5 min left", 12)
    said = coming("m", News("checking", 3_000_000_000, 3_090_000_000), 1_000_000_000.0)
    assert said.message == "checking 3.00 of 3.09 GB, 1000.0 MB/s"
    assert coming("m", News("preparing"), 0.0).percentage is None


def test_a_rate_is_of_the_last_seconds_and_begins_anew_with_another_file() -> None:
    now = 0.0
    rate = Rate(lambda: now)
    assert rate.of(0) == 0.0
    now = 0.5
    assert rate.of(1_000_000) == 0.0  # too early to say
    now = 2.0
    assert rate.of(4_000_000) == 2_000_000.0
    for second in range(3, 30):
        now = float(second)
        last = rate.of(4_000_000)
    assert last == 0.0  # nothing has come lately
    now = 31.0
    assert rate.of(10) == 0.0
