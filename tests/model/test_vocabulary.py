from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from model.vocabulary import TextStream, Vocabulary, VocabularyError
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
