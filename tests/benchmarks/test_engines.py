"""The engines that are compared compute the same, and those that are absent are named."""

from __future__ import annotations

import sys
from pathlib import Path

import gguf
import numpy as np
import pytest

from model.checkpoint.coder import Qwen2Config
from model.checkpoint.opening import open_checkpoint
from model.checkpoint.tensors import stored
from model.engines.onnx.engine import OnnxEngine
from model.training.gguf_file import GgufFile
from model.training.importing import checkpoint_tensors
from tests.benchmarks import engines
from tests.benchmarks.engine_peers import Transformers, write_gguf
from tests.benchmarks.engines import Ours
from tests.tiny_checkpoint import write_packed_checkpoint, write_tiny_checkpoint

IDS = [(7 * i + i // 40) % 300 for i in range(200)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("engines"), adapter=False)


def test_engines_write_the_same_line(folder: Path) -> None:
    checkpoint = open_checkpoint(str(folder))
    ours = Ours(
        OnnxEngine("float32", 1).decoder(checkpoint, Qwen2Config.from_json(checkpoint.config), 256, 1)
    )
    written = ours.write(IDS, 12)
    assert ours.write(IDS, 12) == written  # nothing is left of the last prompt
    assert len(set(written)) > 4
    assert Transformers(checkpoint, 1).write(IDS, 12) == written
    assert Transformers(checkpoint, 1, lookup=5).write(IDS, 12) == written


def test_a_checkpoint_in_blocks_is_read_by_the_others_too(tmp_path: Path) -> None:
    """A GGUF file of it imports as what it was."""
    folder = write_packed_checkpoint(tmp_path / "coder")
    checkpoint = open_checkpoint(str(folder))
    config = Qwen2Config.from_json(checkpoint.config)
    written = Ours(OnnxEngine("float32", 1).decoder(checkpoint, config, 256, 1)).write(IDS, 12)
    assert Transformers(checkpoint, 1).write(IDS, 12) == written
    write_gguf(gguf, str(tmp_path / "tiny.gguf"), checkpoint)
    again = GgufFile(tmp_path / "tiny.gguf")
    for name, values in checkpoint_tensors(again, config):
        np.testing.assert_array_equal(values, stored(checkpoint.tensors[name]), err_msg=name)


def test_what_is_not_installed_is_left_out_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("openvino", "gguf", "transformers"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(engines, "ROUNDS", 1)
    monkeypatch.setattr(engines, "CAPACITY", 256)
    monkeypatch.setattr(engines, "LINE", 3)
    rows = {
        row.case: row for row in engines.compared("tiny", open_checkpoint(str(folder)), lambda n: IDS[n:])
    }
    left_out = {case: row.note for case, row in rows.items() if not row.values}
    assert left_out == {
        "transformers float32": "left out: transformers is not installed",
        "transformers, prompt lookup": "left out: transformers is not installed",
        "OpenVINO bfloat16": "left out: openvino is not installed",
        "llama.cpp q8_0": "left out: gguf is not installed",
    }
    assert rows[engines.OURS].values["line_times_ours"] == 1
    assert rows["ours, torch float32"].values["line_ms"] > 0
