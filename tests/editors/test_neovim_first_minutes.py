"""While a model comes from a hub that is no good the tiny one suggests, and the status says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from model.checkpoint.opening import EMBEDDED_FOLDER
from tests.editors.first_minutes import HUBS, NAME, SILENT_SECONDS, look_at, under_one_another

PULL = f"`hef-lsp --models pull {NAME}`"
# What stands on the screen besides the words that are waited for.
SAID = {
    "slow": (f"{NAME}: fetching ", " of 120 MB, ", " MB/s, about ", "embedded-tiny (5M parameters)"),
    "silent": (
        f"embedded-tiny answers, because {NAME} cannot be fetched from 127.0.0.1:",
        f"(nothing came for {SILENT_SECONDS} s): see the network, then {PULL}",
    ),
    "cut off": (
        f"embedded-tiny answers, because {NAME} cannot be fetched from 127.0.0.1:",
        f" MB are kept: see the network, then {PULL}",
    ),
    "refusing": (f"{NAME} cannot be fetched from 127.0.0.1:", f"see the network, then {PULL}"),
    "gated": (f"{NAME} is gated: accept its terms at ", f"log in with `hf auth login`, then {PULL}"),
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not EMBEDDED_FOLDER.is_dir(), reason="this checkout has no embedded model"),
]


@pytest.mark.parametrize("kind", HUBS)
def test_the_tiny_one_suggests_and_the_screen_says_what_to_do(
    neovim_program: str, tmp_path: Path, kind: str
) -> None:
    look = look_at(neovim_program, HUBS[kind], tmp_path / "look")
    assert look.ghost.strip()
    assert "".join(look.ghost.splitlines()[0].split()) in look.text  # it is still there
    for said in SAID[kind]:
        assert "".join(said.split()) in look.text
    under_one_another({HUBS[kind]: look}, tmp_path / "all.png")
    with Image.open(tmp_path / "all.png") as picture:
        assert picture.size[0] > 900
        assert len(picture.getcolors() or ()) > 3  # something is drawn
