from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from model.vocabulary import _BYTE_OF, TextStream, Vocabulary, VocabularyError
from tests.tiny_checkpoint import CONTROL_TOKENS, tiny_tokenizer

TEXTS = [
    "def f(x):\n    return x\n",
    "naïve = 'ü'",
    "s = '日本 😀👩‍👩‍👧'",
    "\t\r\n  x",
    "<|fim_prefix|>x<|endoftext|>",
    "",
]


def raw(control: tuple[str, ...] = CONTROL_TOKENS) -> dict[str, object]:
    return json.loads(tiny_tokenizer(control).to_str())


@pytest.mark.parametrize("text", TEXTS)
def test_the_stream_gives_the_text_back(vocabulary: Vocabulary, text: str) -> None:
    stream = TextStream(vocabulary)
    for token in vocabulary.encode(text):
        stream.push(token)
    assert stream.text == text


@pytest.mark.parametrize("text", TEXTS)
def test_no_half_character_is_ever_seen(vocabulary: Vocabulary, text: str) -> None:
    stream = TextStream(vocabulary)
    for token in vocabulary.encode(text):
        assert text.startswith(stream.push(token))


def test_bytes_that_are_no_character_are_dropped(vocabulary: Vocabulary) -> None:
    half = vocabulary.encode("é")[:1]
    stream = TextStream(vocabulary)
    for token in [*vocabulary.encode("a"), *half, *vocabulary.encode("b")]:
        stream.push(token)
    assert stream.text == "ab"


def test_half_a_surrogate_pair_is_no_error(vocabulary: Vocabulary) -> None:
    assert vocabulary.encode("a\ud83db") == vocabulary.encode("a?b")


def test_source_text_cannot_spell_a_control_token(vocabulary: Vocabulary) -> None:
    """Although the file marks them as ordinary tokens, as Qwen2.5-Coder's does."""
    assert not any(token["special"] for token in raw()["added_tokens"])
    for name in CONTROL_TOKENS:
        assert vocabulary.control_ids.isdisjoint(vocabulary.encode(f"x = '{name}'"))


def test_fim_tokens_are_found_by_name(vocabulary: Vocabulary) -> None:
    found = [vocabulary.tokenizer.token_to_id(name) for name in CONTROL_TOKENS]
    fim = vocabulary.fim
    assert [fim.end, fim.prefix, fim.middle, fim.suffix, fim.pad, fim.repo_name, fim.file_sep] == found


def test_starcoder_names_are_known_and_optional_tokens_may_be_absent() -> None:
    fim = Vocabulary(raw(("<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<|endoftext|>"))).fim
    assert None not in (fim.prefix, fim.suffix, fim.middle, fim.end)
    assert (fim.file_sep, fim.repo_name, fim.pad) == (None, None, None)
    assert fim.stops == {fim.end}


def test_without_fim_tokens_the_end_of_text_stands_for_them() -> None:
    fim = Vocabulary(raw(("<|endoftext|>", "<file_sep>"))).fim
    assert not fim.fills
    assert {fim.prefix, fim.suffix, fim.middle} == {fim.end} == fim.stops


def test_a_tokenizer_that_marks_no_end_of_text_is_refused() -> None:
    with pytest.raises(VocabularyError, match=r"neither fill-in-the-middle tokens .* nor <\|endoftext\|>"):
        Vocabulary(raw(("<s>",)))


def lacking(*characters: int) -> dict[str, object]:
    """The tiny tokenizer without tokens for these bytes."""
    found = raw()
    found["model"]["merges"] = []  # some are of these bytes
    alphabet = {byte: character for character, byte in _BYTE_OF.items()}
    vocab = found["model"]["vocab"]
    for n, byte in enumerate(characters):
        vocab["x" * (50 + n)] = vocab.pop(alphabet[byte])
    return found


SMOLLM = (0x04, 0x06, 0x13, 0x14, 0x16, 0x1D, 0xC0, 0xC1, 0xF1, 0xF2, *range(0xF5, 0x100))
HOSTILE = {
    "a control character": ("a\x04b", "a?b"),
    "all of them": (
        "".join(map(chr, range(32))),
        "".join("?" if i in SMOLLM else chr(i) for i in range(32)),
    ),
    "planes without a token": ("\U00040000\U0007ffff\U00080000\U000bffff", "????"),
    "planes with one": (
        "\U0001f600\U0003ffff\U000c0000\U0010ffff",
        "\U0001f600\U0003ffff\U000c0000\U0010ffff",
    ),
    "half a surrogate pair beside it": ("\ud83d\x04\udc00", "???"),
    "a control token around it": ("<|end\x04oftext|>", "<|end?oftext|>"),
    "nothing else": ("\x04" * 10_000, "?" * 10_000),
}


@pytest.mark.parametrize(("text", "expected"), HOSTILE.values(), ids=HOSTILE)
def test_a_character_whose_bytes_are_no_tokens_is_read_as_a_question_mark(text: str, expected: str) -> None:
    vocabulary = Vocabulary(lacking(*SMOLLM))
    ids, starts = vocabulary.encode_with_starts(text)
    assert ids == vocabulary.encode(text)
    assert b"".join(map(vocabulary.token_bytes, ids)).decode() == expected
    assert len(expected) == len(text)  # so that a start is one in the text
    assert starts == sorted(starts)
    assert starts[-1] < len(text)


def test_a_tokenizer_with_every_byte_reads_every_character(vocabulary: Vocabulary) -> None:
    text = "\x04\U00040000"
    assert b"".join(map(vocabulary.token_bytes, vocabulary.encode(text))).decode() == text


@pytest.mark.parametrize("byte", [0x09, 0x0A, 0x0D, 0x20, 0x41, 0x80, 0xBF, 0xC3, 0xE6, 0xF0])
def test_a_tokenizer_without_a_byte_that_texts_have_is_refused(byte: int) -> None:
    with pytest.raises(VocabularyError, match="not byte-level"):
        Vocabulary(lacking(byte))


def test_a_tokenizer_that_is_not_byte_level_is_refused() -> None:
    with pytest.raises(VocabularyError, match="not byte-level"):
        Vocabulary(raw() | {"decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}})


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"added_tokens": 3}', "not json"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(VocabularyError):
        Vocabulary.load(tmp_path / "tokenizer.json")


def test_only_text_and_stops_may_be_generated(vocabulary: Vocabulary) -> None:
    banned = set(vocabulary.never(320).tolist())
    fim = vocabulary.fim
    assert {fim.prefix, fim.suffix, fim.middle} <= banned
    assert banned.isdisjoint(fim.stops)
    assert set(range(vocabulary.tokenizer.get_vocab_size(), 320)) <= banned
    assert banned.isdisjoint(vocabulary.encode("def add(self, first, second):"))


def test_offsets_point_into_the_text(vocabulary: Vocabulary) -> None:
    text = "é = 1\nself.x = 2\n"
    ids, starts = vocabulary.encode_with_starts(text)
    assert ids == vocabulary.encode(text)
    assert np.all(np.diff(starts) >= 0)
    assert text.index("self") in starts


@pytest.mark.parametrize("begin", [" ", " =", "(", "._", "é", "\n", "no token begins so"])
def test_what_does_not_begin_so_is_told_token_by_token(vocabulary: Vocabulary, begin: str) -> None:
    n = 500
    slow = [not vocabulary.token_bytes(i).startswith(begin.encode()) for i in range(n)]
    assert vocabulary.not_beginning(begin, n).tolist() == slow
