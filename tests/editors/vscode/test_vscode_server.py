"""How the extension finds its server, and lives with its end, in a real VS Code."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.editors.conftest import HEAD, LINE, scripted_server
from tests.editors.neovim import wait_for
from tests.editors.vscode.conftest import Start, new_program
from tests.editors.vscode.workbench import HERE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

CRASHES_BORNE = 4
PYTHON_EXTENSION = HERE / "python_extension"


def test_a_killed_server_comes_back_until_it_keeps_ending_and_then_on_request(start_vscode: Start) -> None:
    session = start_vscode()
    vscode, line = session.vscode, LINE.rstrip()
    vscode.edit(session.folder / "killed.py", HEAD + "   ")
    for typed in range(4, 5 + CRASHES_BORNE):
        wait_for(lambda: len(session.server_pids()) == typed - 3, "a server")  # noqa: B023
        vscode.wait_for_status("Ready")
        vscode.type(line[typed - 1])
        vscode.wait_for_ghost(line[typed:])
        os.kill(session.server_pids()[-1], signal.SIGKILL)
        vscode.wait_for_status("Starting" if typed < 4 + CRASHES_BORNE else "No server")
    vscode.wait_for_notification("ended 5 times")
    assert len(vscode.notifications()) == 1
    vscode.screenshot("gave-up")
    vscode.clear_notifications()
    vscode.command("hef-lsp.restart")
    vscode.wait_for_status("Ready")
    vscode.type(line[4 + CRASHES_BORNE])
    vscode.wait_for_ghost(line[5 + CRASHES_BORNE :])
    vscode.press("Tab")
    vscode.wait_for_text(HEAD + line)


def test_without_a_server_one_sentence_says_what_to_run_and_a_corrected_setting_starts_it(
    start_vscode: Start, tmp_path: Path
) -> None:
    session = start_vscode(
        settings={"hef-lsp.path": ""}, environment={"PATH": without_servers(os.environ["PATH"])}
    )
    vscode = session.vscode
    vscode.edit(session.folder / "missing.py", HEAD)
    message = vscode.wait_for_notification(
        "There is no hef-lsp server: run `pipx install .` (or `uv tool install .`)"
    )
    assert message.count(". ") == 0
    vscode.screenshot("missing-server")
    vscode.clear_notifications()
    vscode.wait_for_status("No server.")
    vscode.configure(**{"hef-lsp__path": str(new_program(tmp_path, scripted_server(tmp_path, {})))})
    vscode.wait_for_status("Ready")
    vscode.configure(**{"hef-lsp__path": "/nowhere/hef-lsp"})
    vscode.wait_for_notification("/nowhere/hef-lsp, which cannot be run")


def test_the_server_of_the_chosen_python_environment_is_run_and_another_choice_restarts(
    start_vscode: Start, tmp_path: Path
) -> None:
    path = {"PATH": without_servers(os.environ["PATH"])}
    session = start_vscode(settings={"hef-lsp.path": ""}, environment=path, extensions=(PYTHON_EXTENSION,))
    environments = [tmp_path / name for name in ("first", "second")]
    for environment in environments:
        environment.mkdir()
        new_program(environment, scripted_server(environment, {}), "hef-lsp")
    vscode = session.vscode
    vscode.edit(session.folder / "environment.py", HEAD)
    vscode.wait_for_status("No server.")
    for environment in environments:
        vscode.command("python.choose", str(environment / "python"))
        wait_for((environment / "messages.jsonl").exists, f"the server of {environment.name}")
        vscode.wait_for_status("Ready")


def test_nothing_of_an_untrusted_workspace_is_run(start_vscode: Start, tmp_path: Path) -> None:
    def prepare(folder: Path) -> None:
        program = new_program(folder, scripted_server(folder, {}))
        (folder / ".vscode").mkdir()
        settings = f'{{"hef-lsp.path": "{program}"}}'
        (folder / ".vscode" / "settings.json").write_text(settings, encoding="utf-8")

    trust = {"security.workspace.trust.startupPrompt": "never", "security.workspace.trust.banner": "always"}
    session = start_vscode(settings=trust, trust=False, prepare=prepare)
    vscode = session.vscode
    vscode.edit(session.folder / "untrusted.py", HEAD)
    vscode.wait_for_status("Ready")  # the user's own server
    assert not vscode.api("return vscode.workspace.isTrusted")
    assert not (session.folder / "messages.jsonl").exists()
    vscode.configure(**{"hef-lsp__path": "${workspaceFolder}/server"})
    vscode.wait_for_notification("trust the workspace")
    vscode.screenshot("untrusted")
    assert not (session.folder / "messages.jsonl").exists()


def without_servers(path: str) -> str:
    """PATH without the folders that hold a hef-lsp, e.g. of the environment that runs this test."""
    return os.pathsep.join(
        folder for folder in path.split(os.pathsep) if not (Path(folder) / "hef-lsp").exists()
    )
