from __future__ import annotations

import json

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from model.layout import fim_layout
from model.prompt import (
    PSEUDO,
    Budget,
    Head,
    Prompt,
    at_token_boundary,
    build_prompt,
    empty_head,
    exact_text,
    fit_documents,
    worst_first,
)
from model.vocabulary import TextStream, Vocabulary

HIDDEN = 4


def whole(total: int) -> Budget:
    """A budget that lets the right side have what the left one does not need."""
    return Budget(total, suffix=total)


def text_of(vocabulary: Vocabulary, ids: list[int] | tuple[int, ...]) -> str:
    """The prompt as a person reads it, control tokens by name."""
    out, stream = [], TextStream(vocabulary)
    for token in ids:
        if token == PSEUDO or token in vocabulary.control_ids:
            out += [stream.text, "*" if token == PSEUDO else vocabulary.tokenizer.id_to_token(token)]
            stream = TextStream(vocabulary)
        else:
            stream.push(token)
    return "".join([*out, stream.text])


def head(vocabulary: Vocabulary, slots: int = 0, text: str = "") -> Head:
    return Head((PSEUDO,) * slots + tuple(vocabulary.encode(text)), np.ones((slots, HIDDEN), np.float32))


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("spm", "**ctx<|fim_suffix|>\nafter<|fim_prefix|>before("),
        ("psm", "**ctx<|fim_prefix|><|fim_suffix|>\nafter<|fim_middle|>before("),
        ("ltr", "<|endoftext|>**ctxbefore("),
    ],
)
def test_layout(vocabulary: Vocabulary, order: str, expected: str) -> None:
    prompt = build_prompt(vocabulary, order, head(vocabulary, 2, "ctx"), "before(", "\nafter", whole(100))
    assert text_of(vocabulary, prompt.ids) == expected


def test_each_side_is_tokenized_apart(vocabulary: Vocabulary) -> None:
    """As in training: the middle starts a new token even in the middle of a word."""
    fim = vocabulary.fim
    prompt = build_prompt(vocabulary, "spm", empty_head(HIDDEN), "self.fir", "st + 1", whole(100))
    expected = [fim.suffix, *vocabulary.encode("st + 1"), fim.prefix, *vocabulary.encode("self.fir")]
    assert (
        list(prompt.ids)
        == expected
        == fim_layout(fim, "spm", (), vocabulary.encode("self.fir"), vocabulary.encode("st + 1"))
    )


@pytest.mark.parametrize(("slots", "vectors"), [(2, 1), (0, 1), (3, 4)])
def test_slots_and_vectors_must_agree(slots: int, vectors: int) -> None:
    with pytest.raises(ValueError, match=f"{slots} pseudo-token slots got {vectors} vectors"):
        Prompt((PSEUDO,) * slots + (1,), np.zeros((vectors, HIDDEN), np.float32))


LINES = "".join(f"value_{i} = {i}\n" for i in range(200))


@pytest.mark.parametrize("budget", [20, 64, 100, 333])
@pytest.mark.parametrize(
    ("prefix", "suffix"), [(LINES, LINES), (LINES, ""), ("", LINES), ("x" * 3000, LINES)]
)
def test_the_budget_holds(vocabulary: Vocabulary, budget: int, prefix: str, suffix: str) -> None:
    prompt = build_prompt(vocabulary, "psm", head(vocabulary, 8), prefix, suffix, whole(budget))
    assert len(prompt) <= budget


def sides(vocabulary: Vocabulary, prefix: str, suffix: str, budget: int) -> tuple[str, str]:
    prompt = build_prompt(vocabulary, "spm", empty_head(HIDDEN), prefix, suffix, whole(budget))
    after, before = text_of(vocabulary, prompt.ids).removeprefix("<|fim_suffix|>").split("<|fim_prefix|>")
    return before, after


def test_the_left_is_cut_at_a_line_start_and_the_right_at_its_end(vocabulary: Vocabulary) -> None:
    before, after = sides(vocabulary, LINES + "value_x", "()\n" + LINES, 400)
    assert (LINES + "value_x").endswith(before)
    assert before.startswith("value_")
    assert before.endswith("value_x")
    assert after.startswith("()\nvalue_0")
    assert ("()\n" + LINES).startswith(after)


def test_two_thirds_go_to_the_left(vocabulary: Vocabulary) -> None:
    before, after = sides(vocabulary, LINES, LINES, 600)
    n_before, n_after = len(vocabulary.encode(before)), len(vocabulary.encode(after))
    assert 0.28 * 600 < n_after < 0.36 * 600
    assert 0.45 * 600 < n_before < 0.68 * 600


@pytest.mark.parametrize("limit", [0, 10, 50])
def test_the_right_side_has_a_limit_of_its_own(vocabulary: Vocabulary, limit: int) -> None:
    prompt = build_prompt(vocabulary, "spm", empty_head(HIDDEN), LINES, LINES, Budget(400, limit))
    assert prompt.ids.index(vocabulary.fim.prefix) == 1 + limit
    assert len(prompt) > 400 - limit - 8 * 13


@pytest.mark.parametrize(("prefix", "suffix"), [("x = 1\n", LINES), (LINES, "\nx = 1")])
def test_what_one_side_does_not_need_goes_to_the_other(
    vocabulary: Vocabulary, prefix: str, suffix: str
) -> None:
    before, after = sides(vocabulary, prefix, suffix, 400)
    assert before == prefix or after == suffix
    assert len(vocabulary.encode(before + after)) > 0.7 * 400


def test_a_line_longer_than_the_budget_is_cut_anywhere(vocabulary: Vocabulary) -> None:
    before, _ = sides(vocabulary, "x = '" + "ab" * 2000, "", 64)
    assert before.endswith("abab")
    assert len(vocabulary.encode(before)) > 40


@pytest.mark.parametrize("above", [LINES, "import os\n"], ids=["a long file", "its first lines"])
def test_typing_a_line_moves_no_cut(vocabulary: Vocabulary, above: str) -> None:
    """What stands before the typed text keeps its place, so its keys and values stay valid; with few exceptions."""

    def ids(typed: int) -> tuple[int, ...]:
        return build_prompt(
            vocabulary, "spm", empty_head(HIDDEN), above + "a b " * typed, LINES, whole(300)
        ).ids

    moved = sum(ids(typed)[: len(ids(typed - 1)) - 1] != ids(typed - 1)[:-1] for typed in range(1, 60))
    assert moved <= 5


DOCUMENTS = [("best.py", "def best(): ...\n\n"), ("worse.py", "def worse(): ...\n"), ("long.py", LINES)]


def test_documents_come_worst_first(vocabulary: Vocabulary) -> None:
    ids = worst_first(fit_documents(vocabulary, DOCUMENTS[:2], 400))
    assert (
        text_of(vocabulary, ids)
        == "<|file_sep|>worse.py\ndef worse(): ...\n<|file_sep|>best.py\ndef best(): ...\n"
    )


@pytest.mark.parametrize(("budget", "n_documents"), [(0, 0), (15, 0), (16, 1), (31, 1), (90, 3), (300, 3)])
def test_documents_keep_their_budget(vocabulary: Vocabulary, budget: int, n_documents: int) -> None:
    documents = fit_documents(vocabulary, DOCUMENTS, budget)
    assert len(documents) == n_documents
    assert sum(map(len, documents)) <= budget


def test_one_document_does_not_hide_the_others(vocabulary: Vocabulary) -> None:
    documents = fit_documents(vocabulary, DOCUMENTS[::-1], 120)
    assert [len(ids) for ids in documents[:1]] == [40]
    assert documents[1:] == fit_documents(vocabulary, DOCUMENTS[1::-1], 120)


def test_what_has_no_room_as_text_has_its_signature_in_front(vocabulary: Vocabulary) -> None:
    found = [
        ("best.py", "x = 1", "x"),
        ("file.py", "", "def of_a_file()"),
        ("long.py", LINES, "def long()"),
        ("long.py", LINES, "def long()"),
    ]
    assert text_of(vocabulary, exact_text(vocabulary, found, text_budget=28, signature_budget=100)) == (
        "<|file_sep|>long.py\ndef long()\n<|file_sep|>file.py\ndef of_a_file()\n<|file_sep|>best.py\nx = 1\n"
    )
    assert exact_text(vocabulary, found, text_budget=0, signature_budget=0) == ()


def test_a_context_that_leaves_no_room_is_refused(vocabulary: Vocabulary) -> None:
    with pytest.raises(ValueError, match="a context of 30 tokens does not fit a prompt of 31"):
        build_prompt(vocabulary, "spm", head(vocabulary, 30), "x", "y", whole(31))


def test_the_same_cursor_gives_the_same_prompt(vocabulary: Vocabulary) -> None:
    first, second = (
        build_prompt(vocabulary, "spm", head(vocabulary, 2), LINES, LINES, whole(200)) for _ in range(2)
    )
    assert first.ids == second.ids


@pytest.mark.parametrize(
    ("prefix", "kept", "begin"),
    [
        ("x = ", "x =", " "),
        ("    ", "   ", " "),
        ("\t", "", "\t"),
        ("self.", "self", "."),
        ("f(a, _", "f(a, ", "_"),
        ("self.fir", "self.fir", ""),
        ("x1", "x1", ""),
        ("x\n", "x\n", ""),
        ("é", "é", ""),
        ("…", "…", ""),
        ("", "", ""),
    ],
)
def test_what_joins_the_next_word_is_left_to_the_model(
    vocabulary: Vocabulary, prefix: str, kept: str, begin: str
) -> None:
    assert at_token_boundary(vocabulary, prefix) == (kept, begin)


def test_a_sign_goes_with_what_its_token_joined_it_to() -> None:
    tokenizer = Tokenizer(BPE())
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    told = ['x = [y]\nx = [\'y\']\n"""y"""\n'] * 9
    tokenizer.train_from_iterator(told, BpeTrainer(initial_alphabet=ByteLevel.alphabet()))
    tokenizer.add_tokens(["<|endoftext|>"])
    joining = Vocabulary(json.loads(tokenizer.to_str()))
    assert at_token_boundary(joining, "x =") == ("x", " =")
    assert at_token_boundary(joining, "x = [") == ("x =", " [")
    assert at_token_boundary(joining, 'x\n"""') == ("x\n", '"""')
    assert at_token_boundary(joining, "x = ") == ("x =", " ")
    assert at_token_boundary(joining, "é(") == ("é", "(")
    for prefix in ("=" * 100, " " * 40 + "[", "é=", "…]", "\U0001f680["):
        kept, begin = at_token_boundary(joining, prefix)
        assert kept + begin == prefix
        assert begin.endswith(prefix[-1])


def test_so_is_the_end_of_a_line_where_it_joins_the_indentation() -> None:
    """As in GPT-2's and StarCoder's tokenizers, which do not split what is white."""
    tokenizer = Tokenizer(BPE())
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(["if x:\n  y\n"] * 9, BpeTrainer(initial_alphabet=ByteLevel.alphabet()))
    tokenizer.add_tokens(["<|endoftext|>"])
    joining = Vocabulary(json.loads(tokenizer.to_str()))
    assert at_token_boundary(joining, "x:\n") == ("x:", "\n")
    assert at_token_boundary(joining, "x:\n  ") == ("x:\n ", " ")
