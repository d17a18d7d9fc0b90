"""What is installed has both embedded coders whole, and is no larger than what hosts take."""

from __future__ import annotations

import tomllib
from itertools import chain
from pathlib import Path

import pytest

from model.checkpoint.opening import CHECKSUMS, EMBEDDED_FOLDER, LARGE

ROOT = Path(__file__).resolve().parents[1]
MAX_FILE_BYTES = 100_000_000  # of one file in a Git host's repository
MAX_BYTES = 120_000_000  # of all: deflated to 85 %, they leave a wheel below 100 MiB (tests/release.py)


def packaged() -> set[Path]:
    """Files of the package `model` that are no code."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["model"]
    found = chain.from_iterable((ROOT / "model").glob(pattern) for pattern in patterns)
    return {file for file in found if file.is_file()}


@pytest.mark.parametrize("folder", [EMBEDDED_FOLDER, EMBEDDED_FOLDER / LARGE], ids=["tiny", "large"])
def test_a_coder_is_packaged_whole(folder: Path) -> None:
    listed = {line.split(maxsplit=1)[1] for line in (folder / CHECKSUMS).read_text("utf-8").splitlines()}
    assert listed >= {"config.json", "tokenizer.json"}
    assert any(name.endswith(".safetensors") for name in listed)
    assert packaged() >= {folder / name for name in (*listed, CHECKSUMS, "MODEL_CARD.md")}


def test_what_is_packaged_is_not_too_large_to_publish() -> None:
    sizes = [file.stat().st_size for file in packaged()]
    assert max(sizes) < MAX_FILE_BYTES
    assert sum(sizes) < MAX_BYTES
