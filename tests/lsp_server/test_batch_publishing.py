"""`--publish --batch` up to Ray: its switches, who holds which fuser, what travels; Ray itself is in `tests/scale`."""

from __future__ import annotations

import importlib.abc
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from indexer import IndexSettings
from indexer.team.batch import Collected, EmbeddedLeaves
from indexer.team.bucket import Bucket
from indexer.team.publishing import PackWriter
from indexer.team.refs import secret_key
from lsp_server import ray_actors
from lsp_server.batch import BatchRecipe, embed_leaves, fuser_of, here
from lsp_server.cli import main
from lsp_server.problems import UserMustActError
from model.loading import load_model
from model.settings import EMBEDDED_TINY, ModelSettings

KEY = secret_key("correct horse battery staple")
TINY = ModelSettings(name=EMBEDDED_TINY)


@pytest.mark.parametrize(
    "arguments", [["--batch"], ["--batch", "2", "--reindex"], ["--publish", "--batch", "-1"]]
)
def test_it_stands_beside_publish_with_a_number_or_none(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "--batch" in capsys.readouterr().err


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(os, "environ", {**os.environ})
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserMustActError, match=r"hef-lsp\[batch\]"):
        ray_actors.over_ray(2)


class SeenImport(importlib.abc.MetaPathFinder):
    """What the environment says at the moment when Ray is looked for, which then is not there."""

    said: str | None = None

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "ray":
            self.said = os.environ.get("RAY_USAGE_STATS_ENABLED")
            raise ImportError(name)


def test_its_statistics_are_off_before_it_is_imported_whatever_the_environment_says(monkeypatch):
    monkeypatch.setattr(os, "environ", {**os.environ, "RAY_USAGE_STATS_ENABLED": "1"})
    seen = SeenImport()
    monkeypatch.setattr(sys, "meta_path", [seen, *sys.meta_path])
    with pytest.raises(UserMustActError):
        ray_actors.over_ray(0)
    assert seen.said == "0"


def test_leaves_travel_as_bytes():
    rng = np.random.default_rng(0)
    parts = [
        EmbeddedLeaves(
            rng.integers(0, 256, (n, 16), dtype=np.uint8),
            rng.standard_normal((n, 8)).astype(np.float16),
            rng.standard_normal((n, 2, 4)).astype(np.float16),
        )
        for n in (1, 7)
    ]
    rows = [ray_actors._row(part) for part in parts]
    batch = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    for sent, came in zip(parts, ray_actors._leaves(batch), strict=True):
        for name in ("digests", "keys", "memories"):
            assert np.array_equal(getattr(sent, name), getattr(came, name))
            assert getattr(sent, name).dtype == getattr(came, name).dtype


def test_a_process_has_the_publishers_fuser_or_none():
    fingerprint = load_model(EMBEDDED_TINY).encoder.fingerprint
    assert fuser_of(TINY, fingerprint).fingerprint == fingerprint
    with pytest.raises(UserMustActError, match="another fuser"):
        fuser_of(TINY, "another")


def test_the_real_fuser_fills_a_folder_once(tmp_path):
    root = tmp_path / "code"
    root.mkdir()
    for number in range(3):
        (root / f"m{number}.py").write_text(f"def function_{number}(value):\n    return value + {number}\n")
    fingerprint = load_model(EMBEDDED_TINY).encoder.fingerprint
    packs = PackWriter(Bucket(str(tmp_path / "bucket"), writes=True), fingerprint, KEY)
    recipe = BatchRecipe(Path(root), IndexSettings(), TINY, fingerprint, KEY)
    assert embed_leaves(recipe, packs, "o/r", "main", here) == Collected(3, 1)
    assert embed_leaves(recipe, packs, "o/r", "main", here) == Collected(0, 0)
