from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from model.blocks.block import FIRST, SPAN
from model.checkpoint.coder import Qwen2Config
from model.engines.torch.kv_cache import KVCache
from model.engines.torch.qwen2 import Qwen2
from model.training.block_rows import begins, places, visible
from model.training.sequences import Mix, Sequences, TrainingRow
from model.training.tokens import TokenFile
from model.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def mix() -> Mix:
    return Mix(length=1024, context=1.0, max_context=900, max_suffix=60, max_middle=60, block_share=0.5)


@pytest.fixture(scope="module")
def sequences(token_file: TokenFile, corpus_vocabulary: Vocabulary, mix: Mix) -> Sequences:
    return Sequences(token_file, corpus_vocabulary, mix)


@pytest.fixture(scope="module")
def coder() -> Qwen2:
    torch.manual_seed(0)
    return Qwen2(Qwen2Config(330, 64, 96, 3, 4, 2, 16, 10_000.0)).eval()


def test_positions_and_blocks_written_out() -> None:
    positions, blocks = places((2, 3), 8)
    assert positions == [0, SPAN - 1, SPAN, SPAN - 2, SPAN - 1, SPAN, SPAN + 1, SPAN + 2]
    assert blocks == [0, 1, 1, 2, 2, 2, 0, 0]
    assert places((), 3) == ([0, 1, 2], [0, 0, 0])
    positions, blocks = places((2, 3), 9, n_early=2)
    assert positions == [0, SPAN + 1, SPAN + 2, SPAN, SPAN + 1, SPAN + 2, SPAN + 1, SPAN + 2, SPAN + 3]
    assert blocks == [0, 1, 1, 2, 2, 2, -1, -1, 0]
    assert places((SPAN,), 2 + SPAN) == ([*range(2 + SPAN)], [0] + [1] * SPAN + [0])


def test_the_mask_written_out() -> None:
    documents = torch.tensor([[8] * 8 + [10] * 2])
    blocks = torch.tensor([[0, 1, 1, 2, 2, 2, 0, 0, 0, 0]])
    written = """
        1.........
        11........
        111.......
        1..1......
        1..11.....
        1..111....
        1111111...
        11111111..
        ........1.
        ........11
    """
    expected = [[seen == "1" for seen in line] for line in written.split()]
    assert visible(documents, blocks)[0, 0].tolist() == expected


def test_the_mask_of_early_tokens_written_out() -> None:
    blocks = torch.tensor([[0, 1, 1, 2, -1, -1, 0, 0]])
    written = """
        1.......
        11......
        111.....
        1..1....
        1...1...
        1...11..
        1111111.
        11111111
    """
    expected = [[seen == "1" for seen in line] for line in written.split()]
    assert visible(torch.zeros(1, 8, dtype=torch.long), blocks)[0, 0].tolist() == expected
    assert begins(blocks)[0].tolist() == [True, False, True, True, False, False, False]


def empty(coder: Qwen2, capacity: int) -> KVCache:
    shape = (1, coder.config.num_key_value_heads, capacity, coder.config.head_dim)
    return KVCache(coder.config.num_hidden_layers, shape, torch.device("cpu"), torch.float32)


def placed(coder: Qwen2, ids: Tensor, sizes: list[int], n_early: int) -> Tensor:
    """Final hidden states [n, hidden] of what follows: its early part is read behind the sink, each block is, too, and
    the late part over the keys and values of all of them, one behind the other."""
    cache, first, border = empty(coder, len(ids)), 1, FIRST + n_early
    front = sum(sizes) + 1
    early = empty(coder, 1 + n_early)
    read = torch.cat([ids[:1], ids[front : front + n_early]])
    first_states = coder(coder.embed(read)[None], torch.tensor([[0, *range(FIRST, border)]]), cache=early)[
        0, 1:
    ]
    for ours, theirs in zip((*cache.keys, *cache.values), (*early.keys, *early.values), strict=True):
        ours[:, :, front : front + n_early] = theirs[:, :, 1:]
    for size in sizes:
        alone = empty(coder, 1 + size)
        read = torch.cat([ids[:1], ids[first : first + size]])
        coder(coder.embed(read)[None], torch.tensor([[0, *range(border - size, border)]]), cache=alone)
        for ours, theirs in zip((*cache.keys, *cache.values), (*alone.keys, *alone.values), strict=True):
            ours[:, :, 0] = theirs[:, :, 0]
            ours[:, :, first : first + size] = theirs[:, :, 1:]
        first += size
    cache.length = first + n_early
    late = ids[first + n_early :]
    positions = torch.arange(border, border + len(late))[None]
    return torch.cat([first_states, coder(coder.embed(late)[None], positions, cache=cache)[0]])


def sizes_of(row: TrainingRow, document: int) -> list[int]:
    """Of the blocks of a document of a row, in order; empty where it has none."""
    return np.bincount(row.blocks[row.documents == document].clip(0))[1:].tolist()


def block_documents(row: TrainingRow) -> list[int]:
    return [int(d) for d in np.unique(row.documents) if sizes_of(row, d)]


@torch.no_grad()
def test_one_pass_over_a_row_reads_what_placed_blocks_give(sequences: Sequences, coder: Qwen2) -> None:
    checked = early = 0
    for number in range(12):
        row = sequences.row(number)
        ids, positions, documents, blocks = (
            torch.from_numpy(part)[None] for part in (row.ids[:-1], row.positions, row.documents, row.blocks)
        )
        hidden = coder(coder.embed(ids), positions, visible(documents, blocks))[0]
        for document in block_documents(row):
            own = documents[0] == document
            sizes = sizes_of(row, document)
            n_early = int((row.blocks[row.documents == document] < 0).sum())
            expected = placed(coder, ids[0, own], sizes, n_early)
            torch.testing.assert_close(hidden[own][1 + sum(sizes) :], expected, atol=1e-4, rtol=1e-4)
            checked += len(sizes) > 1
            early += n_early > 0
    assert checked >= 3
    assert early >= 3


def test_blocks_are_windows_behind_a_sink(
    sequences: Sequences, token_file: TokenFile, corpus_vocabulary: Vocabulary
) -> None:
    fim = corpus_vocabulary.fim
    checked = 0
    for number in range(12):
        row = sequences.row(number)
        for document in block_documents(row):
            own = np.flatnonzero(row.documents == document)
            ids, blocks = row.ids[own], row.blocks[own]
            assert ids[0] == fim.end
            starts = [int(np.flatnonzero(blocks == b)[0]) for b in np.unique(blocks[blocks > 0])]
            assert all(ids[start] == fim.file_sep for start in starts)
            assert ids[1 + sum(sizes_of(row, document))] in (fim.suffix, fim.file_sep)
            assert max(sizes_of(row, document)) <= SPAN
            checked += 1
    assert checked >= 6


def test_the_first_token_of_a_block_and_of_what_follows_is_not_learned(sequences: Sequences) -> None:
    for number in range(12):
        row = sequences.row(number)
        goes_on = (row.blocks[:-1] == -1) & (row.blocks[1:] == 0)
        untold = (np.diff(row.blocks) != 0) & ~goes_on | (np.diff(row.documents) != 0)
        assert np.all(row.weights[:-1][untold] == 0)
        assert np.all(row.weights[:-1][goes_on & ~untold] >= 1)
        inside = np.flatnonzero((row.blocks[1:] > 0) & (np.diff(row.blocks) == 0))
        assert np.all(row.weights[inside] == 1)  # the others are, as those of windows that stand as text


def test_a_share_of_the_contexts_is_blocks(
    token_file: TokenFile, corpus_vocabulary: Vocabulary, mix: Mix
) -> None:
    def share(block_share: float) -> float:
        rows = Sequences(token_file, corpus_vocabulary, dataclasses.replace(mix, block_share=block_share))
        made = [rows.row(number) for number in range(16)]
        return sum(len(block_documents(row)) for row in made) / sum(
            len(np.unique(row.documents)) for row in made
        )

    shares = [share(block_share) for block_share in (0.0, 0.5, 1.0)]
    assert shares[0] == 0
    assert all(less < more for less, more in pairwise(shares))
