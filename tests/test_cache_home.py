"""One folder for all caches: index and model find the same one without importing each other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import indexer.cache_folder
import model.privacy


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HEF_CACHE_DIR": "named", "XDG_CACHE_HOME": "xdg"}, "named"),
        ({"XDG_CACHE_HOME": "xdg"}, "xdg/hef-lsp"),
        ({"HEF_CACHE_DIR": "", "XDG_CACHE_HOME": ""}, "home/.cache/hef-lsp"),
        ({}, "home/.cache/hef-lsp"),
    ],
)
def test_index_and_model_keep_their_caches_in_one_folder(
    variables: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HEF_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name, folder in variables.items():
        monkeypatch.setenv(name, str(tmp_path / folder) if folder else "")
    found = indexer.cache_folder.cache_home()

    assert found == model.privacy.cache_home()
    if sys.platform == "linux" or variables.get(
        "HEF_CACHE_DIR"
    ):  # elsewhere the platform has a place of its own
        assert found == tmp_path / expected
