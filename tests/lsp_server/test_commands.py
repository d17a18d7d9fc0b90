"""--reindex, --complete and --doctor with a real, tiny checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from string import ascii_letters
from typing import Any

import pytest

from indexer.installed import Package
from lsp_server import cli, commands
from lsp_server.doctor import ALL_WELL
from model.completer import Completer
from model.request import Completion, Request
from model.settings import EMBEDDED_LARGE
from tests import tiny_coder
from tests.lsp_server.small_repository import write_small_repository
from tests.tiny_checkpoint import write_tiny_checkpoint

MODES = ("none", "snippets", "pseudo", "hybrid")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    root = write_small_repository(tmp_path / "repository")
    (root / ".env").write_text("TOKEN=secret\n", encoding="utf-8")
    (root / "broken.py").write_bytes(b"\xff\xfe\x00")
    return root


@pytest.fixture
def run(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command with `--json` and returns (exit code, what it printed)."""

    def command(*arguments: str, code: int = 0) -> Any:
        assert cli.main([*arguments, "--json", "--set", f"model.name={checkpoint}"]) == code
        return json.loads(capsys.readouterr().out)

    return command


def test_reindexing_counts_and_embeds_nothing_twice(run: Any, repository: Path) -> None:
    first = run("--reindex", str(repository))
    second = run("--reindex", str(repository))

    assert set(first) >= {"files", "chunks", "embedded", "reused", "seconds"}
    assert first["files"] == 2
    assert first["embedded"] == first["chunks"] > 0
    assert second["embedded"] == 0
    assert sum(first["skipped"].values()) == 2


@pytest.mark.parametrize("mode", MODES)
def test_completing_without_an_index_makes_one(run: Any, repository: Path, mode: str) -> None:
    answer = run(
        "--complete", f"{repository / 'main.py'}:3:7", "--context", mode, "--set", "model.maxTokens=4"
    )

    assert set(answer) >= {"text", "tokens", "drafted", "accepted", "forward_passes", "timings_ms", "context"}
    assert set(answer["timings_ms"]) == {"retrieve", "prefill", "decode", "total"}
    assert answer["mode"] == mode
    assert 0 < answer["tokens"] <= 4
    if mode == "none":
        assert answer["context"] == []
    else:
        assert {"path", "first_line", "last_line", "level", "score"} == set(answer["context"][0])
        assert "shapes.py" in [item["path"] for item in answer["context"]]
        assert not any(item["path"] == "main.py" and item["first_line"] <= 3 for item in answer["context"])


def test_one_answer_of_a_cold_process_reads_the_blocks_that_a_server_would_have(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--complete", f"{repository / 'main.py'}:3:7", "--json", "--set", "model.maxTokens=4"]
    told = {}
    for context in ("none", "blocks", "blocks"):
        assert cli.main([*asked, "--context", context, *tiny_coder.ARGUMENTS]) == 0
        told[context] = json.loads(capsys.readouterr().out)
    assert told["blocks"]["mode"] == "blocks"
    assert told["blocks"]["prompt_tokens"] > told["none"]["prompt_tokens"] + 1
    monkeypatch.chdir(repository)
    doctor = ["--doctor", "--json", "--set", "model.context=blocks", *tiny_coder.ARGUMENTS]
    assert cli.main(doctor) in (0, 1)
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [finding["topic"] for finding in findings if finding["topic"] == "blocks"] == ["blocks"]


def test_a_first_completion_does_not_wait_for_every_vector(
    repository: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "BEGIN_SECONDS", -1.0)
    for number in range(40):
        text = f"def scale_{number}(factor):\n    return {number} * factor\n"
        (repository / f"scale_{number}.py").write_text(text, encoding="utf-8")
    (repository / "main.py").write_text("x = scale_39(\n", encoding="utf-8")
    place, model = f"{repository / 'main.py'}:1:14", f"model.name={checkpoint}"
    code = cli.main(
        ["--complete", place, "--json", "--context", "hybrid", "--set", model, "--set", "index.batchTexts=1"]
    )
    out, err = capsys.readouterr()

    assert code == 0
    assert "scale_39.py" in [item["path"] for item in json.loads(out)["context"]]
    assert "hef-lsp --reindex" in err


def test_secret_files_are_not_completed(
    repository: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--complete", f"{repository / '.env'}:1:7", "--set", f"model.name={checkpoint}"]

    assert cli.main(arguments) == 1
    assert "holds secrets (`*.env` in the built-in list of secrets)" in capsys.readouterr().err


def test_files_that_look_secret_are_not_completed(
    repository: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: only names counted, and the key was the model's prompt."""
    body = "\n".join("".join(Random(line).choices(ascii_letters, k=64)) for line in range(4))
    (repository / "keys.py").write_text(f"-----BEGIN PRIVATE KEY-----\n{body}\n", encoding="utf-8")
    arguments = ["--complete", f"{repository / 'keys.py'}:1:7", "--set", f"model.name={checkpoint}"]

    assert cli.main(arguments) == 1
    assert "looks like a secret" in capsys.readouterr().err
    assert cli.main([*arguments, "--set", "index.notSecret=keys.py", "--set", "model.maxTokens=2"]) == 0


def test_the_doctor_names_what_it_found(
    run: Any, repository: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: Path
) -> None:
    monkeypatch.chdir(repository)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    before = run("--doctor")
    run("--reindex")
    after = run("--doctor")

    def texts(report: Any, topic: str) -> list[str]:
        return [finding["text"] for finding in report["findings"] if finding["topic"] == topic]

    assert before["ok"]
    assert "--reindex" in before["next_step"]
    assert after["next_step"] == ALL_WELL
    assert any("is not indexed yet" in text for text in texts(before, "index"))
    assert any("2 files" in text for text in texts(after, "index"))
    assert any("broken.py" in text for text in texts(after, "skipped"))
    assert any(str(checkpoint) in text for text in texts(after, "model"))


def test_the_doctor_looks_at_a_folder_as_an_editor_opens_it(
    run: Any, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    below = repository / "services" / "billing"
    below.mkdir(parents=True)
    (below / "main.py").write_text("x = 1\n", encoding="utf-8")
    run("--reindex", str(below))

    report = run("--doctor", str(below))
    assert [finding["text"] for finding in report["findings"] if "1 files" in finding["text"]]
    assert cli.main(["--doctor", str(repository / "nothing")]) == 1
    assert capsys.readouterr().err.endswith("nothing is not a folder.\n")


def test_a_missing_model_needs_the_user(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repository)
    missing = ["--set", f"model.name={repository / 'no-such-model'}"]
    assert cli.main(["--reindex", ".", *missing]) == 1
    assert capsys.readouterr().err.count("\n") == 1

    assert cli.main(["--doctor", *missing]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    failed = next(line for line in lines if line.startswith("FAIL"))
    assert failed.endswith(last.removeprefix("Next: "))


def test_without_the_large_coder_who_insists_on_it_is_told_in_a_sentence(
    repository: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("model.checkpoint.opening.EMBEDDED_FOLDER", checkpoint)
    insist = ("--set", f"model.name={EMBEDDED_LARGE}")
    assert cli.main(["--complete", f"{repository / 'main.py'}:3:7", *insist]) == 1
    said = "this installation has no large model (model/pretrained/large): set model.name to embedded"
    assert capsys.readouterr().err == f"hef-lsp: {said}\n"


def test_a_completion_knows_the_files_as_lines_and_tokens(
    repository: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Request] = []
    complete = Completer.complete

    def listening(self: Completer, request: Request, *rest: Any) -> Completion:
        asked.append(request)
        return complete(self, request, *rest)

    monkeypatch.setattr(Completer, "complete", listening)
    place, model = f"{repository / 'main.py'}:3:7", f"model.name={checkpoint}"
    for _ in range(2):  # with a first index, and with one that is there
        assert cli.main(["--complete", place, "--context", "none", "--set", model]) == 0
        request = asked.pop()
        assert request.lines is not None
        assert request.tokens is not None
        found = request.lines.between([], ["return width * height"])
        assert [place.path for place in found] == ["shapes.py"]
        assert request.tokens.version > 0
    capsys.readouterr()


def test_a_completion_drafts_from_installed_packages(
    repository: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: the request of `--complete` was built apart from the server's, and had none."""
    library = repository.parent / "library"
    library.mkdir()
    (library / "shapes.py").write_text(
        "def area(width, height):\n    return width * height\n", encoding="utf-8"
    )
    monkeypatch.setattr("indexer.packages.standard_library", lambda: Package("python", "3.99", library))
    monkeypatch.setattr(commands, "PACKAGES_SECONDS", 20.0)  # they are not in the cache yet
    asked: list[Request] = []
    complete = Completer.complete

    def listening(self: Completer, request: Request, *rest: Any) -> Completion:
        asked.append(request)
        return complete(self, request, *rest)

    monkeypatch.setattr(Completer, "complete", listening)
    place, model = f"{repository / 'main.py'}:3:7", f"model.name={checkpoint}"
    assert cli.main(["--complete", place, "--context", "none", "--set", model]) == 0
    packages = asked.pop().packages
    assert packages is not None
    assert packages.version > 0
    off = ["--set", "drafts.packages=false"]
    assert cli.main(["--complete", place, "--context", "none", "--set", model, *off]) == 0
    assert asked.pop().packages is None
    capsys.readouterr()
