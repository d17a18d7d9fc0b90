"""Settings: bad values cost their own key only, unknown names are named, copies are generated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lsp_server import settings_docs
from lsp_server.settings import Settings, all_settings, override, parse

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ({"completion": {"maxLines": 3}}, "completion.max_lines", 3),
        ({"completion.maxLines": 3.0}, "completion.max_lines", 3),
        ({"model": {"deadlineMs": 250}}, "model.deadline_ms", 250.0),
        ({"index": {"ignore": ["*.gen.py"]}}, "index.ignore", ("*.gen.py",)),
        ({"model": {"context": "none"}}, "model.context", "none"),
        ({"completion": {"maxLines": None}}, "completion.max_lines", 12),
    ],
)
def test_a_good_value_is_used(options: dict[str, Any], name: str, value: object) -> None:
    settings, problems = parse(options)
    group, _, attribute = name.partition(".")

    assert getattr(getattr(settings, group), attribute) == value
    assert problems == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"completion": {"maxLines": "many"}},
            "'completion.maxLines' must be a whole number, not 'many'; 12 is used.",
        ),
        ({"completion": {"maxLines": 0}}, "'completion.maxLines' must be at least 1, not 0; 12 is used."),
        ({"completion": {"maxLines": 101}}, "'completion.maxLines' must be at most 100"),
        ({"completion": {"maxLines": True}}, "must be a whole number"),
        ({"completion": {"enabled": "yes"}}, "must be true or false"),
        ({"completion": {"disabledLanguages": [1]}}, "must be a list of texts"),
        ({"model": {"context": "all"}}, "must be one of none, snippets, pseudo, hybrid, blocks, auto"),
        ({"model": {"deadlineMs": float("nan")}}, "must be at most"),
        ({"completion": {"minConfidence": 1.5}}, "must be at most"),
        ({"completion": {"minConfidence": -0.1}}, "must be at least"),
        ({"completion": {"minConfidence": "high"}}, "must be a number"),
        (
            {"complete": {"maxLines": 1}},
            "Unknown setting 'complete.maxLines' (did you mean 'completion.maxLines'?).",
        ),
        ({"max_lines": 1}, "Unknown setting 'max_lines'"),
        ({"completion": 1}, "Unknown setting 'completion'"),
    ],
)
def test_a_bad_value_costs_only_its_own_key(options: dict[str, Any], said: str) -> None:
    settings, problems = parse({**options, "index.chunkMaxLines": 32})

    assert len(problems) == 1
    assert said in problems[0]
    assert settings.completion == Settings().completion
    assert settings.index.chunk_max_lines == 32


@pytest.mark.parametrize(
    ("assignment", "name", "value"),
    [
        ("completion.enabled=false", "enabled", False),
        ("completion.maxLines=4", "max_lines", 4),
        ("completion.disabledLanguages=markdown, text", "disabled_languages", ("markdown", "text")),
    ],
)
def test_the_command_line_sets(assignment: str, name: str, value: object) -> None:
    assert getattr(override(Settings(), [assignment]).completion, name) == value


@pytest.mark.parametrize(
    "assignment", ["completion.enabled", "nonsense=1", "completion.maxLines=x", "model.context=x"]
)
def test_the_command_line_refuses_what_it_does_not_know(assignment: str) -> None:
    with pytest.raises(ValueError, match=r"--set|Unknown|must be"):
        override(Settings(), [assignment])


def test_every_setting_has_help_and_a_default_that_it_accepts() -> None:
    for setting in all_settings():
        assert setting.help.endswith("."), setting.name
        value = list(setting.default) if isinstance(setting.default, tuple) else setting.default
        assert parse({setting.name: value}) == (Settings(), []), setting.name


def test_the_copies_of_people_and_editors_are_up_to_date() -> None:
    stale = [str(file) for file, text, wanted in settings_docs.copies(ROOT) if text != wanted]

    assert stale == [], "run: python -m lsp_server.settings_docs --write"


def test_copies_keep_what_is_not_ours(tmp_path: Path) -> None:
    package = tmp_path / "editors" / "vscode" / "package.json"
    package.parent.mkdir(parents=True)
    own = {"hef-lsp.interpreter": {"type": "array"}}
    before = {"contributes": {"configuration": [{"title": "own", "properties": own}]}}
    package.write_text(json.dumps(before), encoding="utf-8")
    page = tmp_path / "lsp_server" / "SETTINGS.md"
    page.parent.mkdir()
    page.write_text(f"before\n{settings_docs.BEGIN}\nold\n{settings_docs.END}\nafter\n", encoding="utf-8")

    assert settings_docs.main(["--root", str(tmp_path)]) == 1
    assert settings_docs.main(["--root", str(tmp_path), "--write"]) == 0
    assert settings_docs.main(["--root", str(tmp_path)]) == 0
    first, *groups = json.loads(package.read_text(encoding="utf-8"))["contributes"]["configuration"]
    assert first == {"title": "own", "properties": own}
    assert [group["title"] for group in groups[:2]] == ["Completion", "Model"]
    assert groups[0]["properties"]["hef-lsp.completion.maxLines"]["maximum"] == 100
    assert "| `completion.maxLines` | `12` |" in page.read_text(encoding="utf-8")


def test_vs_code_reads_the_help_as_markdown_with_links_and_code() -> None:
    found: dict[str, Any] = {}
    for group in settings_docs.vscode_categories():
        found |= group["properties"]

    assert "`#hef-lsp.model.deadlineMs#`" in found["hef-lsp.model.name"]["markdownDescription"]
    assert "`embedded-tiny` is" in found["hef-lsp.model.name"]["markdownDescription"]
    assert "checkpoint's own limit" in found["hef-lsp.model.contextTokens"]["markdownDescription"]
    assert found["hef-lsp.model.contextTokens"]["minimum"] == -1  # which is allowed beside 128 and more
    assert r"e.g. \*.md." in found["hef-lsp.completion.disabledFiles"]["markdownDescription"]
    assert found["hef-lsp.retrieval.rrfK"]["tags"] == ["advanced"]
    assert found["hef-lsp.model.offline"]["tags"] == ["usesOnlineServices"]
    assert found["hef-lsp.completion.enabled"]["order"] < found["hef-lsp.completion.automatic"]["order"]


def test_a_setting_keeps_its_old_name(caplog: pytest.LogCaptureFixture) -> None:
    by_editor, problems = parse({"memory": {"enabled": False}})
    by_command = override(Settings(), ["memory.enabled=false"])

    assert not problems
    assert not by_editor.recall.enabled
    assert not by_command.recall.enabled
    assert "memory.enabled is called recall.enabled now" in caplog.text
