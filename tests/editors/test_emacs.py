"""The same server in Emacs: its clients have no inline completion, so the suggestion is an item of the completion."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.editors.conftest import HEAD, LINE, scripted_server
from tests.editors.neovim import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

FOLDER = ROOT / "tests" / "editors"


def has_client(name: str) -> bool:
    emacs = shutil.which("emacs")
    question = ["--batch", "--eval", f"(kill-emacs (if (require '{name} nil t) 0 1))"]
    return (
        emacs is not None
        and subprocess.run([emacs, *question], capture_output=True, timeout=60).returncode == 0
    )


@pytest.mark.parametrize("client", ["eglot", "lsp-mode"])
def test_a_suggestion_is_completed(tmp_path: Path, client: str) -> None:
    if not has_client(client):
        pytest.skip(f"no Emacs with {client}: `make test-editors` installs one")
    repository = tmp_path / "repository"
    (repository / ".git").mkdir(parents=True)
    file = repository / "double.py"
    file.write_text(HEAD)
    done = subprocess.run(
        [
            "emacs",
            "--batch",
            "-l",
            str(FOLDER / f"{client}.el"),
            str(file),
            "    re",
            *scripted_server(tmp_path, {}),
        ],
        env={
            **os.environ,
            "HOME": str(tmp_path),
            "HEF_CACHE_DIR": str(tmp_path / "cache"),
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert file.with_suffix(".py.completed").read_text() == HEAD + LINE.rstrip()
