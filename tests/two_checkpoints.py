"""Two real checkpoints of a few hundred kilobytes: a tiny one, and a large one in it, as the package has them."""

from __future__ import annotations

from pathlib import Path

from model.checkpoint.opening import LARGE
from model.training.bpe import CONTROL_TOKENS
from tests.tiny_checkpoint import write_tiny_checkpoint

TWO = "<|of another tokenizer|>"


def write_two_checkpoints(folder: Path, **large: object) -> Path:
    """The tiny one's folder, with an adapter; the large one has none, and another tokenizer. `large`: changes of its
    config.json."""
    write_tiny_checkpoint(folder)
    write_tiny_checkpoint(folder / LARGE, adapter=False, seed=3, control=(*CONTROL_TOKENS, TWO), **large)
    return folder
