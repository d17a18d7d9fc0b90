from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from model.training.neighbors import Neighbors
from model.training.sequences import Mix, Sequences
from model.training.tokens import TokenFile
from model.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def sequences(token_file: TokenFile, corpus_vocabulary: Vocabulary) -> Sequences:
    mix = Mix(length=512, fim=1.0, context=1.0, unrelated=0.0, max_context=200, max_suffix=60, max_middle=60)
    return Sequences(token_file, corpus_vocabulary, mix)


def test_a_row_is_a_function_of_its_number(sequences: Sequences) -> None:
    assert np.array_equal(sequences.row(7).ids, sequences.row(7).ids)
    assert not np.array_equal(sequences.row(7).ids, sequences.row(8).ids)


def test_rows_are_full_and_weights_belong_to_the_next_token(sequences: Sequences) -> None:
    for number in range(12):
        row = sequences.row(number)
        assert row.ids.shape == (513,)
        assert row.weights.shape == row.documents.shape == (512,)
        assert (row.weights == 0).mean() < 0.25


def test_documents_stand_in_the_order_of_serving(
    sequences: Sequences, token_file: TokenFile, corpus_vocabulary: Vocabulary
) -> None:
    """Each document is [snippets] suffix prefix+middle end, and prefix + middle + suffix is part of a file."""
    fim = corpus_vocabulary.fim
    decode = corpus_vocabulary.tokenizer.decode
    texts = [
        decode(token_file.tokens[f.start : f.end].tolist()) for r in token_file.repositories for f in r.files
    ]
    checked = 0
    for number in range(6):
        ids = sequences.row(number).ids.tolist()
        document = ids[: ids.index(fim.end) + 1]
        behind, ahead = document.index(fim.suffix), document.index(fim.prefix)
        assert behind < ahead
        assert behind == 0 or document[0] == fim.file_sep
        whole = decode(document[ahead + 1 : -1]) + decode(document[behind + 1 : ahead])
        checked += any(whole in text for text in texts)
    assert checked >= 5  # a middle longer than its budget is cut, and then the parts no longer join


def test_middles_weigh_more_than_what_is_given(sequences: Sequences, corpus_vocabulary: Vocabulary) -> None:
    row = sequences.row(0)
    end = row.ids.tolist().index(corpus_vocabulary.fim.end)
    assert row.weights[end - 1] == 1.5
    assert row.weights[0] == 1.0


def test_no_document_is_predicted_from_the_one_before_it(
    sequences: Sequences, corpus_vocabulary: Vocabulary
) -> None:
    checked = 0
    for number in range(12):
        row = sequences.row(number)
        for end in np.flatnonzero(np.diff(row.documents)):
            checked += 1
            assert row.weights[end] == 0.0
            if row.ids[end + 1] != corpus_vocabulary.fim.end:  # the rest of the row is not padding
                assert row.weights[end + 1] > 0.0
    assert checked


def test_neighbors_find_the_window_with_the_same_names(
    token_file: TokenFile, corpus_vocabulary: Vocabulary
) -> None:
    size = corpus_vocabulary.tokenizer.get_vocab_size()
    ends_line = np.array([corpus_vocabulary.token_bytes(i).endswith(b"\n") for i in range(size)])
    neighbors = Neighbors(token_file, ends_line, size, size=48)
    repository = token_file.repositories[0]
    other = repository.files[2]
    query = token_file.tokens[other.start : other.start + 30].astype(np.int64)
    found = neighbors.similar(0, query, hidden=(0, 0), k=3)
    assert found[0].file == 2
    hidden = (found[0].start, found[0].end)
    assert all(w.end <= hidden[0] or w.start >= hidden[1] for w in neighbors.similar(0, query, hidden, 3))


def test_windows_cover_every_file(token_file: TokenFile, corpus_vocabulary: Vocabulary) -> None:
    size = corpus_vocabulary.tokenizer.get_vocab_size()
    neighbors = Neighbors(token_file, np.zeros(size, bool), size, size=50)
    rng = np.random.default_rng(0)
    windows = {(w.start, w.end) for w in neighbors.any(0, rng, (0, 0), 5000)}
    spans = sorted(windows)
    assert spans[0][0] == token_file.repositories[0].files[0].start
    assert all(a[1] == b[0] for a, b in pairwise(spans))
