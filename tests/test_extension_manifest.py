"""The VS Code extension's package.json: what a marketplace asks for is there, and what it names exists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from indexer import LANGUAGES

EXTENSION = Path(__file__).resolve().parents[1] / "editors" / "vscode"


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))
    return found


def test_it_can_be_published(manifest: dict[str, Any]) -> None:
    assert not manifest.get("private")
    assert {"publisher", "license", "icon", "repository", "bugs", "homepage"} <= manifest.keys()
    assert "--allow-missing-repository" not in manifest["scripts"]["package"]


def test_a_key_or_a_step_of_the_walkthrough_runs_a_command_that_there_is(manifest: dict[str, Any]) -> None:
    contributes = manifest["contributes"]
    declared = {command["command"] for command in contributes["commands"]}
    keys = {key["command"] for key in contributes["keybindings"]}
    steps = json.dumps(contributes["walkthroughs"])
    named = {part.split(")")[0] for part in steps.split("command:hef-lsp")[1:]}

    assert {key for key in keys if key.startswith("hef-lsp.")} <= declared
    assert named
    assert {f"hef-lsp{name}" for name in named} <= declared


def test_what_the_walkthrough_shows_is_packaged(manifest: dict[str, Any]) -> None:
    (walkthrough,) = manifest["contributes"]["walkthroughs"]
    media = [step["media"].get("image") or step["media"]["markdown"] for step in walkthrough["steps"]]

    assert all((EXTENSION / file).is_file() for file in media)
    packaged = (EXTENSION / ".vscodeignore").read_text(encoding="utf-8").split()
    assert {f"!{file.split('/')[0]}/**" for file in media} <= set(packaged)


def test_it_wakes_up_for_languages_and_not_for_any_text(manifest: dict[str, Any]) -> None:
    events = manifest["activationEvents"]
    served = manifest["contributes"]["configuration"][0]["properties"]["hef-lsp.languages"]["default"]

    assert {f"onLanguage:{language}" for language in served} <= set(events)
    assert not {"*", "onLanguage", "onStartupFinished", "onLanguage:plaintext", "onLanguage:log"} & set(
        events
    )


def test_settings_of_the_user_alone_are_restricted_in_untrusted_workspaces(manifest: dict[str, Any]) -> None:
    known = {name for group in manifest["contributes"]["configuration"] for name in group["properties"]}
    restricted = manifest["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"]

    assert set(restricted) <= known


def test_both_editors_suggest_in_the_languages_that_are_known(manifest: dict[str, Any]) -> None:
    known = [language.name for language in LANGUAGES]
    served = manifest["contributes"]["configuration"][0]["properties"]["hef-lsp.languages"]["default"]
    lua = (EXTENSION.parent / "nvim" / "lsp" / "hef_lsp.lua").read_text(encoding="utf-8")
    filetypes = lua.partition("filetypes = {")[2].partition("}")[0]

    assert served == known
    assert [name.strip(" '\n") for name in filetypes.split(",") if name.strip()] == known
