"""The same server in Emacs: eglot has no inline completion, so the suggestion is an item of its completion."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.editors.conftest import HEAD, LINE, scripted_server
from tests.editors.neovim import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

EGLOT = ROOT / "tests" / "editors" / "eglot.el"


def has_eglot() -> bool:
    emacs = shutil.which("emacs")
    question = ["--batch", "--eval", "(kill-emacs (if (require 'eglot nil t) 0 1))"]
    return emacs is not None and subprocess.run([emacs, *question], capture_output=True, timeout=60).returncode == 0


@pytest.mark.skipif(not has_eglot(), reason="no Emacs with eglot: `make test-editors` installs one")
def test_a_suggestion_is_completed(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    (repository / ".git").mkdir(parents=True)
    file = repository / "double.py"
    file.write_text(HEAD)
    done = subprocess.run(
        ["emacs", "--batch", "-l", str(EGLOT), str(file), "    re", *scripted_server(tmp_path, {})],
        env={**os.environ, "HOME": str(tmp_path), "HEF_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert file.with_suffix(".py.completed").read_text() == HEAD + LINE.rstrip()
