"""`--complete` for people: the text on stdout, and in sentences what it is worth, what was read and what it cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lsp_server import cli, commands
from lsp_server.account import account_of
from lsp_server.coder import LoadedCoder, StaysError
from lsp_server.commands import snapshot_at
from lsp_server.loading import load_named, who_answers
from lsp_server.presentation import ONE_LINE, StopRule
from lsp_server.settings import CompletionSettings, Settings, override
from lsp_server.silence import MANUAL, NOTHING, UNFIT, unsure
from model.completer import Completer
from model.pace import Pace
from model.request import Completion
from model.settings import EMBEDDED_LARGE, EMBEDDED_TINY
from tests import tiny_coder
from tests.lsp_server.small_repository import write_small_repository
from tests.played_completer import PlayedCompleter

DONE = Completion(
    "", 3, 5, 2, 4, 1200, 7, {"retrieve": 3.0, "prefill": 20.0, "decode": 5.0, "total": 28.4}, (), "end"
)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    root = write_small_repository(tmp_path / "repository")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def said(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[str, str]]:
    """What `--complete` says on stdout and on stderr, where the real coder's text is replaced by another."""

    def complete(
        text: str, *arguments: str, chances: tuple[float, ...] = (), code: int = 0
    ) -> tuple[str, str]:
        real = Completer.complete

        def written(self: Completer, *rest: Any) -> Completion:
            found = real(self, *rest)
            return Completion(**{**vars(found), "text": text, "confidence": chances, "stopped": "end"})

        monkeypatch.setattr(Completer, "complete", written)
        assert cli.main(["--complete", "main.py:3:7", *tiny_coder.ARGUMENTS, *arguments]) == code
        monkeypatch.setattr(Completer, "complete", real)
        return tuple(capsys.readouterr())  # type: ignore[return-value]

    return complete


def test_what_is_sure_says_so_and_what_it_read_and_cost(said: Any) -> None:
    out, err = said("height\n", chances=(0.61,))

    assert out == ""  # code follows the cursor: that is no suggestion
    assert err.startswith("Nothing is suggested here. ")
    out, err = said("sorted(", chances=(0.61,))
    lines = err.splitlines()[-4:]
    assert lines[1].startswith(f"Model: {EMBEDDED_TINY} (")
    assert lines[2].startswith("Read: this file, shapes.py:1-2")
    assert "tokens in all" in lines[2]
    assert lines[3].startswith("Cost: ")
    assert " ms (retrieve " in lines[3]


def test_json_is_on_stdout_alone_and_says_what_comes_by_itself(said: Any, repository: Path) -> None:
    (repository / "main.py").write_text("import shapes\n\nprint(\n", encoding="utf-8")
    for chances, by_itself, code in (((0.9,), "shapes)", None), ((0.1,), "", "unsure")):
        out, err = said("shapes)", "--json", chances=chances)
        told = json.loads(out)
        assert (told["text"], told["by_itself"]) == ("shapes)", by_itself)
        assert (told["silence"] or {}).get("code") == code
        assert told["model"].startswith(EMBEDDED_TINY)
        assert "Model:" not in err


def test_the_text_stands_alone_on_stdout(said: Any, repository: Path) -> None:
    (repository / "main.py").write_text("import shapes\n\nprint(\n", encoding="utf-8")
    out, err = said("shapes)", chances=(0.14,))
    assert out == "shapes)\n"
    assert "Not shown by itself. Held back as unsure: 14 % sure, shown from 25 %." in err
    assert "It is shown by itself: 61 % sure." in said("shapes)", chances=(0.61,))[1]
    assert "It is shown by itself: how sure" in said("shapes)")[1]


@pytest.mark.parametrize(
    ("assignment", "reason"),
    [
        ("completion.enabled=false", "completion.enabled is false"),
        (
            "completion.disabledLanguages=python",
            "off for python. Take it out of completion.disabledLanguages.",
        ),
        ("completion.disabledFiles=ma*.py", "off in ma*.py. Take it out of completion.disabledFiles."),
        ("completion.maxFileChars=1000", "too large (1,"),
        ("index.ignore=main.*", "ignored (`main.*` in index.ignore)"),
        ("index.secrets=main.py", "holds secrets (`main.py` in index.secrets)"),
    ],
)
def test_where_nothing_is_suggested_the_setting_is_named(
    repository: Path, capsys: pytest.CaptureFixture[str], assignment: str, reason: str
) -> None:
    (repository / "main.py").write_text("x = 1\n" * 200, encoding="utf-8")
    assert cli.main(["--complete", "main.py:1:5", *tiny_coder.ARGUMENTS, "--set", assignment]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert reason in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("completion", "settings", "rule", "verdict"),
    [
        (DONE, Settings(), ONE_LINE, f"Nothing is suggested here. {NOTHING.reason}"),
        (
            Completion(**{**vars(DONE), "text": ")"}),
            Settings(),
            ONE_LINE,
            f"Nothing is suggested here. {UNFIT['closers'].reason}",
        ),
        (
            Completion(**{**vars(DONE), "text": "if it is not there"}),
            Settings(),
            ONE_LINE,
            f"Nothing is suggested here. {UNFIT['no code'].reason}",
        ),
        (
            Completion(**{**vars(DONE), "text": "value", "confidence": (0.2,)}),
            Settings(),
            ONE_LINE,
            f"Not shown by itself. {unsure(0.2, 0.25).reason} {unsure(0.2, 0.25).next_step}",
        ),
        (
            Completion(**{**vars(DONE), "text": "value", "confidence": (0.9,)}),
            Settings(completion=CompletionSettings(automatic=False)),
            ONE_LINE,
            f"Not shown by itself. {MANUAL.reason} {MANUAL.next_step}",
        ),
        (
            Completion(**{**vars(DONE), "text": "one\ntwo\nthree", "confidence": (0.9, 0.8, 0.1)}),
            Settings(),
            StopRule(block=True),
            "Its first 2 of 3 lines are shown by itself: 72 % sure.",
        ),
    ],
)
def test_the_verdict_is_the_servers(
    tmp_path: Path, completion: Completion, settings: Settings, rule: StopRule, verdict: str
) -> None:
    (tmp_path / "a.py").write_text("a = \n", encoding="utf-8")
    _, snapshot = snapshot_at(f"{tmp_path / 'a.py'}:1:5")
    account = account_of(completion, snapshot, rule, settings, "played.")
    sentences = list(account.sentences())

    assert sentences[0] == verdict
    assert (
        sentences[-1]
        == "Cost: 28 ms (retrieve 3, prefill 20, decode 5); 3 tokens in 4 passes, 2 of 5 drafted ones right."
    )


def test_of_much_that_was_read_some_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("a = \n", encoding="utf-8")
    _, snapshot = snapshot_at(f"{tmp_path / 'a.py'}:1:5")
    places = [("chunk", f"f{n}.py", n + 1) for n in range(7)]
    items = tuple(
        SimpleNamespace(path=path, first_line=line, last_line=line + 1, level=level, score=0.5)
        for level, path, line in [("repository", "", 0), ("directory", "shop", 0), *places]
    )
    done = Completion(**{**vars(DONE), "context": items, "mode": "hybrid"})
    read = list(account_of(done, snapshot, ONE_LINE, Settings(), "played.").sentences())[2]

    assert read == (
        "Read: this file, repository, directory shop, f0.py:1-2, f1.py:2-3, f2.py:3-4, f3.py:4-5, "
        "3 more (hybrid); 1,200 tokens in all."
    )


SLOW = Pace(400, 640.0, 10.0)


def slow_coder(**changes: Any) -> LoadedCoder:
    return LoadedCoder(PlayedCompleter(), None, "played", (), 0.0, **{"pace": SLOW, **changes})


def test_a_patient_command_says_who_answers_in_an_editor() -> None:
    quick, patient = (override(Settings(), [f"model.deadlineMs={ms}"]) for ms in (100, 10_000))

    assert who_answers(quick, slow_coder()).startswith(f"In an editor {EMBEDDED_TINY} answers, because")
    assert who_answers(patient, slow_coder()) == ""
    assert who_answers(quick, slow_coder(pace=None)) == ""
    named = override(Settings(), [f"model.name={EMBEDDED_TINY}", "model.deadlineMs=100"])
    assert who_answers(named, slow_coder()) == ""
    insists = override(Settings(), [f"model.name={EMBEDDED_LARGE}", "model.deadlineMs=100"])
    assert who_answers(insists, slow_coder()) == ""
    stays = StaysError("The tiny one answers, because.", 640.0)
    assert who_answers(quick, slow_coder(passed_over=stays)) == str(stays)


def test_the_doctor_and_a_completion_agree_about_who_answers(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: the doctor said that the tiny coder answers, and `--complete` asked the large one without a word."""

    def load(settings: Settings, **timed: bool) -> LoadedCoder:
        tiny = load_named(override(settings, [tiny_coder.ASSIGNMENT]), **timed)
        if settings.model.deadline_ms >= SLOW.needs_ms:
            return LoadedCoder(**{**vars(tiny), "description": "the large one", "pace": SLOW})
        return LoadedCoder(**{**vars(tiny), "passed_over": StaysError("Tiny stays.", SLOW.needs_ms)})

    monkeypatch.setattr("lsp_server.doctor.load_named", load)
    monkeypatch.setattr(commands.loaded.__wrapped__, "__defaults__", (load,))  # type: ignore[attr-defined]
    quick = ("--set", "model.deadlineMs=100")
    cli.main(["--doctor", *quick])
    assert f"`hef-lsp --complete` waits 10 s, and {EMBEDDED_LARGE} answers it." in capsys.readouterr().out
    cli.main(["--complete", "main.py:3:7", *quick])
    assert f"Model: the large one. In an editor {EMBEDDED_TINY} answers, because" in capsys.readouterr().err
