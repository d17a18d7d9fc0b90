"""The demo's places exist: code moves on, and a demo that fails is worse than none."""

from __future__ import annotations

import pytest

from tests.demo import SCENES, Scene


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.path)
def test_a_scene_cuts_an_unfinished_line_in_a_real_file(scene: Scene) -> None:
    before, after = scene.texts()
    assert before.endswith(scene.before)
    assert after.startswith("\n")
