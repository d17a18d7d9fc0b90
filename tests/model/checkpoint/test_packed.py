"""Weights in blocks: what of config.json and tensors is believed, and what they stand for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from model.checkpoint.files import WeightsError
from model.checkpoint.opening import CHECKSUMS, open_checkpoint
from model.checkpoint.packed import BLOCK, Nibbles, Octets
from model.checkpoint.tensors import reader, table, widened
from tests.model.checkpoint.hostile_checkpoint import (
    Change,
    ReadingEngine,
    edit,
    join,
    load,
    split,
    tensor,
    without,
)
from tests.tiny_checkpoint import write_packed_checkpoint

EMBEDDING = "model.embed_tokens.weight"
QUERY = "model.layers.0.self_attn.q_proj.weight"
CONFIG = "quantization_config"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("model.loading.choose_engine", lambda settings, n_weights, told: ReadingEngine())
    written = write_packed_checkpoint(tmp_path / "model")
    (written / CHECKSUMS).unlink()
    return written


def test_as_it_was_it_is_loaded(folder: Path) -> None:
    assert load(folder).n_parameters > 0


def renamed(old: str, new: str) -> Change:
    def change(folder: Path) -> None:
        entries, data = split(folder / "model.safetensors")
        entries[new] = entries.pop(old)
        join(folder / "model.safetensors", json.dumps(entries).encode(), data)

    return change


def infinite(folder: Path) -> None:
    entries, data = split(folder / "model.safetensors")
    begin, _ = entries[f"{QUERY}.scale"]["data_offsets"]
    join(
        folder / "model.safetensors",
        json.dumps(entries).encode(),
        data[:begin] + b"\0\x7c" + data[begin + 2 :],
    )


BAD: dict[str, tuple[Change, str]] = {
    **{
        f"{name} {value!r}": (edit("config.json", CONFIG, name, to=value), rf"config\.json .*{name} is")
        for name, values in {
            "linear_bits": (3, 5, "4", 4.0, True, None, [4], 10**9),
            "embedding_bits": (0, 16, None),
            "block_size": (16, 64, "32", None),
        }.items()
        for value in values
    },
    **{
        f"method {value!r}": (edit("config.json", CONFIG, "quant_method", to=value), "quantized weights")
        for value in ("gptq", "", None, 4, ["hef_blocks"])
    },
    **{
        f"config {value!r}": (edit("config.json", CONFIG, to=value), "quantized weights")
        for value in (4, "hef_blocks", [])
    },
    "no config": (without("config.json", CONFIG), rf"{re.escape(EMBEDDING)} is missing"),
    "4 bits are said of 8": (
        edit("config.json", CONFIG, "embedding_bits", to=4),
        rf"{EMBEDDING}\.minimum is missing",
    ),
    "8 bits are said of 4": (edit("config.json", CONFIG, "linear_bits", to=8), r"\.octets is missing"),
    "rows that are no blocks": (edit("config.json", "intermediate_size", to=112), "rows of 112 values"),
    "another shape": (tensor(f"{QUERY}.scale", shape=[2, 64]), rf"{QUERY}\.scale is \[2, 64\]"),
    "nibbles as they are not": (
        tensor(f"{QUERY}.nibbles", shape=[64, 16, 2]),
        rf"{QUERY}\.nibbles is \[64, 16, 2\]",
    ),
    "signed nibbles": (tensor(f"{QUERY}.nibbles", dtype="I8"), rf"{QUERY}\.nibbles is I8, not U8"),
    "octets without a sign": (
        tensor(f"{EMBEDDING}.octets", dtype="U8"),
        rf"{EMBEDDING}\.octets is U8, not I8",
    ),
    "a scale in bfloat16": (tensor(f"{QUERY}.scale", dtype="BF16"), rf"{QUERY}\.scale is BF16, not F16"),
    "a norm in bytes": (
        tensor("model.norm.weight", dtype="U8", shape=[256]),
        r"model\.norm\.weight is \[256\]",
    ),
    "an infinite scale": (infinite, r"model\.safetensors holds values that are no numbers"),
    "a part too few": (renamed(f"{QUERY}.minimum", f"{QUERY}.maximum"), rf"{QUERY}\.minimum is missing"),
}


@pytest.mark.parametrize(("change", "words"), BAD.values(), ids=[name[:60] for name in BAD])
def test_what_is_wrong_is_refused_by_name(folder: Path, change: Change, words: str) -> None:
    change(folder)
    with pytest.raises(WeightsError, match=words):
        load(folder)


def test_a_plain_checkpoint_in_bytes_is_refused(tiny_folder: Path, folder: Path) -> None:
    """Integers are numbers of blocks only."""
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((tiny_folder / name).read_bytes())
    entries, data = split(folder / "model.safetensors")
    entries["model.norm.weight"] |= {"dtype": "I8", "shape": [256]}
    join(folder / "model.safetensors", json.dumps(entries).encode(), data)
    with pytest.raises(WeightsError, match=r"model\.norm\.weight"):
        load(folder)


@pytest.mark.parametrize("bits", [4, 8])
def test_rows_of_a_table_are_those_of_the_matrix(tmp_path: Path, bits: int) -> None:
    checkpoint = open_checkpoint(str(write_packed_checkpoint(tmp_path, embedding_bits=bits)))
    embeddings, ids = table(checkpoint.tensors, EMBEDDING), np.array([5, 300, 5])
    assert isinstance(embeddings, Nibbles if bits == 4 else Octets)
    np.testing.assert_array_equal(widened(embeddings[ids]), reader(checkpoint.tensors)(EMBEDDING)[ids])


@pytest.mark.parametrize("bits", [4, 8])
def test_no_rows_are_none(tmp_path: Path, bits: int) -> None:
    checkpoint = open_checkpoint(str(write_packed_checkpoint(tmp_path, embedding_bits=bits)))
    assert widened(table(checkpoint.tensors, EMBEDDING)[np.zeros(0, np.int64)]).shape == (0, 64)


def test_the_even_one_of_two_neighbors_is_the_low_half() -> None:
    nibbles = np.arange(BLOCK // 2, dtype=np.uint8)[None, None]
    ones = np.ones((1, 1), np.float16)
    values = Nibbles(nibbles | 0xF0, ones, -ones).widened()
    np.testing.assert_array_equal(values[0, ::2], np.arange(16) - 1)
    np.testing.assert_array_equal(values[0, 1::2], 14)
