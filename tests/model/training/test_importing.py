"""What is imported is what the file says, to the bit; what cannot be is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest

from model.checkpoint.opening import open_checkpoint
from model.checkpoint.packed import Nibbles, Octets
from model.checkpoint.tensors import packed, reader
from model.completer import Completer
from model.loading import load_model
from model.request import Request
from model.training.__main__ import main
from model.training.gguf_file import GgufError
from model.training.importing import ImportOptions, run
from model.training.packing import packed_nibbles
from model.vocabulary import Vocabulary
from tests.tiny_gguf import ABSENT, write_tiny_gguf

EMBEDDING = "model.embed_tokens.weight"


def imported(tmp_path: Path, bits: int = 8, **changes: object) -> tuple[Path, dict[str, np.ndarray]]:
    weights = write_tiny_gguf(tmp_path / "tiny.gguf", **changes)
    run(ImportOptions(tmp_path / "tiny.gguf", tmp_path / "coder", bits))
    return tmp_path / "coder", weights


@pytest.mark.parametrize("tied", [True, False])
def test_every_weight_is_what_the_file_says(tmp_path: Path, tied: bool) -> None:
    folder, weights = imported(tmp_path, tie_word_embeddings=tied)
    read = reader(open_checkpoint(str(folder)).tensors)
    assert len(weights) == 1 + 2 * 9 + 1 + (not tied)
    for name, values in weights.items():
        np.testing.assert_array_equal(read(name), values, err_msg=name)


@pytest.mark.parametrize(
    ("bits", "least", "most"), [(4, 0.03, 0.09), (5, 0.02, 0.05), (6, 0.01, 0.025), (7, 0, 0.012)]
)
def test_an_embedding_in_fewer_bits_is_all_that_is_rounded(
    tmp_path: Path, bits: int, least: float, most: float
) -> None:
    folder, weights = imported(tmp_path, bits=bits)
    checkpoint = open_checkpoint(str(folder))
    read = reader(checkpoint.tensors)
    assert isinstance(packed(checkpoint.tensors, EMBEDDING), Nibbles if bits == 4 else Octets)
    exact = weights.pop(EMBEDDING)
    error = np.square(read(EMBEDDING) - exact).mean() ** 0.5
    assert least < error / exact.std() < most
    for name, values in weights.items():
        np.testing.assert_array_equal(read(name), values, err_msg=name)


@pytest.mark.parametrize("bits", [4, 5])
def test_tokens_of_the_code_that_is_named_keep_their_rows(tmp_path: Path, bits: int) -> None:
    (tmp_path / "code" / "site-packages").mkdir(parents=True)
    (tmp_path / "code" / "a.py").write_text("import os\n")
    (tmp_path / "code" / "site-packages" / "b.py").write_text("(((")
    weights = write_tiny_gguf(tmp_path / "tiny.gguf")
    run(ImportOptions(tmp_path / "tiny.gguf", tmp_path / "coder", bits, tmp_path / "code"))
    ids = Vocabulary.load(tmp_path / "coder" / "tokenizer.json").encode("import os\n")
    alike = (reader(open_checkpoint(str(tmp_path / "coder")).tensors)(EMBEDDING) == weights[EMBEDDING]).all(
        axis=1
    )
    assert set(np.flatnonzero(alike)) == set(ids)
    assert f"rows of\n  {len(set(ids))} tokens" in (tmp_path / "coder" / "MODEL_CARD.md").read_text("utf-8")


def test_what_was_imported_completes(tmp_path: Path) -> None:
    folder, _ = imported(tmp_path)
    model = load_model(str(folder))
    assert model.stop_ids == {0, 2, 3, 4}  # the ends of text, chat turn, repository and file
    request = Request("a.py", "def add(self", "", max_tokens=8, deadline_ms=float("inf"))
    assert Completer(model).complete(request, None).tokens > 0


def test_the_tokenizer_reads_digits_one_by_one_and_loses_no_place(tmp_path: Path) -> None:
    vocabulary = Vocabulary.load(imported(tmp_path)[0] / "tokenizer.json")
    assert len(vocabulary.encode("2026")) == 4
    text = f"a{ABSENT}b\U00040000é"
    assert b"".join(map(vocabulary.token_bytes, vocabulary.encode(text))).decode() == "a??b\U00040000é"


def test_the_card_says_where_it_comes_from(tmp_path: Path) -> None:
    card = (imported(tmp_path)[0] / "MODEL_CARD.md").read_text("utf-8")
    for words in ("# Tiny Llama", "| license | apache-2.0 |", "tiny.gguf", "Nothing was trained"):
        assert words in card


REFUSED = {
    "another architecture": ({"architecture": "qwen2"}, "holds a qwen2"),
    "another tokenizer": ({"pre": "llama-bpe"}, r"tokenizer of kind \('gpt2', 'llama-bpe'\)"),
    "another format": (
        {"linear": gguf.GGMLQuantizationType.Q8_0},
        "has blk.0.attn_q.weight in Q8_0, not in Q4_1",
    ),
    "a tensor more": ({"extra": "rope_freqs.weight"}, r"holds rope_freqs\.weight"),
}


@pytest.mark.parametrize(("changes", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_such_a_llama_is_refused_by_name(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(GgufError, match=words):
        imported(tmp_path, **changes)
    assert not (tmp_path / "coder").exists()


def test_the_command_imports_and_says_what_it_cannot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny_gguf(tmp_path / "tiny.gguf")
    assert main(["import", "--gguf", str(tmp_path / "tiny.gguf"), "--out", str(tmp_path / "coder")]) == 0
    assert json.loads((tmp_path / "coder" / "config.json").read_text())["num_key_value_heads"] == 2
    (tmp_path / "none.gguf").write_bytes(b"GGUF, they said")
    with pytest.raises(SystemExit, match="1"):
        main(["import", "--gguf", str(tmp_path / "none.gguf")])
    assert "none.gguf is no GGUF file" in capsys.readouterr().err


def test_packing_keeps_what_4_bits_can_say_and_errs_by_half_a_step() -> None:
    draw = np.random.default_rng(0)
    steps = draw.integers(0, 16, (5, 64)).astype(np.float32)
    steps[:, ::32], steps[:, 1::32] = 0, 15
    np.testing.assert_array_equal(packed_nibbles(0.25 * steps - 1).widened(), 0.25 * steps - 1)
    np.testing.assert_array_equal(packed_nibbles(np.full((2, 32), 0.5, np.float32)).widened(), 0.5)
    weight = draw.standard_normal((50, 64)).astype(np.float32)
    error = np.square(packed_nibbles(weight).widened() - weight).mean()
    blocks = weight.reshape(50, 2, 32)
    step = (blocks.max(axis=2) - blocks.min(axis=2)) / 15
    assert (
        error < 0.9 * np.square(step).mean() / 12
    )  # what rounding to even steps between the outermost costs
