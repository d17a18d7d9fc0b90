"""The libraries' switches are set before any of them is imported, wherever a program begins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.privacy import SILENCED, keep_library_files

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = ("onnxruntime", "huggingface_hub", "transformers", "tokenizers", "torch", "matplotlib", "onnx")

# Looks at the environment at the moment that Python is asked for one of the libraries.
WATCHED = f"""
import os, sys
from importlib.abc import MetaPathFinder

class Watch(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in {LIBRARIES!r}:
            loud = [key for key, value in {SILENCED!r}.items() if os.environ.get(key) != value]
            print(name, *loud)

sys.meta_path.insert(0, Watch())
"""


@pytest.mark.parametrize(
    ("program", "library"),
    [
        ("import lsp_server.cli, model.engines.onnx.engine", "onnxruntime"),
        ("from model.engines.onnx.session import open_session", "onnxruntime"),
        ("from model.checkpoint.opening import find_folder; import huggingface_hub", "huggingface_hub"),
        ("import model.evaluation.cli, model.engines.onnx.engine", "onnxruntime"),
        ("import model.training.pretrain", "torch"),
        ("import model.training.__main__, model.training.corpus", "tokenizers"),
    ],
)
def test_every_way_in_is_silent_before_the_library_is_there(program: str, library: str) -> None:
    loud = dict.fromkeys(SILENCED, "anything")  # also what a user has set to something else
    done = subprocess.run(
        [sys.executable, "-c", WATCHED + program],
        cwd=ROOT, env={**os.environ, **loud}, capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    asked = [line.split() for line in done.stdout.splitlines()]

    assert library in [name for name, *_ in asked]
    assert [switches for _, *switches in asked if switches] == []


def test_what_libraries_keep_lies_in_our_cache_unless_the_user_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TRITON_CACHE_DIR", "/elsewhere")
    for name in ("MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    keep_library_files()

    assert Path(os.environ["MPLCONFIGDIR"]).is_relative_to(tmp_path)
    assert Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]).is_relative_to(tmp_path)
    assert os.environ["TRITON_CACHE_DIR"] == "/elsewhere"
