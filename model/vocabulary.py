"""Tokens: the byte-level tokenizer of a checkpoint and its fill-in-the-middle tokens."""

from __future__ import annotations

import codecs
import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from model.checkpoint.files import MAX_TOKENIZER_BYTES, WeightsError, read_json
from model.families import FimOrder, family_of

CHARS_PER_TOKEN = 8  # of text that is tokenized for so many tokens at most; code has 3 to 4

# What a tokenizer is tried with before it is trusted.
_CODE = "def f(self, x):\n\treturn {'Größe': x[0] + 12.5}  # 漢字\n\n    if x != y:\n"
_RUNS, _RUN_LENGTH = ("x", "X", " ", "\n", "\t", "0", "_", ".", "(", "é", "x1 "), 256


class VocabularyError(ValueError):
    """The tokenizer cannot serve completion; the message says why."""


class Vocabulary:
    """Text to ids and back. Control tokens inside source text are plain text here: a file cannot forge a prompt."""

    def __init__(self, raw: dict[str, Any]) -> None:
        """`raw` is a parsed `tokenizer.json`. Raises VocabularyError if it has no end mark or is not byte-level."""
        added = _added(raw)
        found = family_of(added)
        if found is None:
            raise VocabularyError(
                "its tokenizer has neither fill-in-the-middle tokens (<|fim_prefix|> ...) nor <|endoftext|>"
            )
        self.family, self.fim = found
        self.control_ids = frozenset(added.values())
        if "ByteLevel" not in json.dumps(raw.get("decoder")):
            raise VocabularyError("its tokenizer is not byte-level BPE")
        for token in raw["added_tokens"]:
            # Qwen2.5-Coder marks its FIM tokens as ordinary, which would let source text spell them.
            token["special"] = True
        text = json.dumps(raw)
        self.fingerprint = blake2b(text.encode(), digest_size=8).hexdigest()
        self.tokenizer = Tokenizer.from_str(text)
        self.tokenizer.encode_special_tokens = True
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self._strange = _strange_characters(_missing_bytes(raw["model"]["vocab"].keys() - added.keys()))
        if any(self.tokenizer.token_to_id(token) != token_id for token, token_id in added.items()):
            raise VocabularyError("its added tokens have other ids than it says")
        self._largest = max(max(raw["model"]["vocab"].values()), max(added.values()))
        self._check_text()
        # Whether the end of a line and the indentation of the next may be one token.
        self.joins_lines = len(self.encode("\n  x")) < len(self.encode("\n")) + len(self.encode("  x"))

    @classmethod
    def load(cls, file: Path) -> Vocabulary:
        """Read `tokenizer.json`. Raises VocabularyError when it is not one."""
        try:
            return cls(read_json(file, MAX_TOKENIZER_BYTES))
        except VocabularyError:
            raise
        except WeightsError as problem:
            raise VocabularyError(str(problem)) from problem
        except Exception as problem:  # tokenizers raises bare Exception for anything it cannot parse.
            raise VocabularyError(f"{file.name} cannot be read ({problem})") from problem

    def check_fits(self, n_rows: int) -> None:
        """Raises VocabularyError when a token has no row among the embeddings; rows without a token are usual."""
        if self._largest >= n_rows:
            raise VocabularyError(
                f"its tokenizer has ids up to {self._largest}, and there are {n_rows} embeddings"
            )

    def encode(self, text: str) -> list[int]:
        """Raises VocabularyError when a pattern of the tokenizer gives up on the text."""
        # A batch of one is faster, and lets other threads run: `Tokenizer.encode` holds the interpreter.
        with _panics_as_errors():
            ids: list[int] = self.tokenizer.encode_batch_fast([self._whole(text)], add_special_tokens=False)[
                0
            ].ids
        return ids

    def encode_with_starts(self, text: str) -> tuple[list[int], list[int]]:
        """Ids and, of each, the offset in `text` where it starts."""
        with _panics_as_errors():
            encoding = self.tokenizer.encode_batch([self._whole(text)], add_special_tokens=False)[0]
        return encoding.ids, [start for start, _ in encoding.offsets]

    def token_bytes(self, token_id: int) -> bytes:
        """What a token adds to the text; nothing for control tokens and for ids without a token."""
        token = None if token_id in self.control_ids else self.tokenizer.id_to_token(token_id)
        return _bytes_of(token) if token else b""

    def spelled(self, ids: Sequence[int]) -> str:
        """The text in which a tokenizer that sees control tokens everywhere finds these ids, as far as they are whole
        characters."""
        pieces = (
            (self.tokenizer.id_to_token(i) or "").encode() if i in self.control_ids else self.token_bytes(i)
            for i in ids
        )
        return b"".join(pieces).decode("utf-8", "ignore")

    def controls_in(self, text: str) -> list[int]:
        """The control tokens that others' servers see in a text, which we never do, in their order."""
        with _panics_as_errors():
            ids = self._credulous.encode_batch_fast([self._whole(text)], add_special_tokens=False)[0].ids
        return [token for token in ids if token in self.control_ids]

    @cached_property
    def _credulous(self) -> Tokenizer:
        """The tokenizer as others use it; half a second for a large one."""
        return Tokenizer.from_str(self.tokenizer.to_str())

    def _whole(self, text: str) -> str:
        """Half of a surrogate pair, which editors can send and no tokenizer takes, becomes a question mark; so does a
        character with a byte that is no token, which the tokenizer would leave out."""
        whole = text.encode("utf-8", "replace").decode("utf-8")
        return self._strange.sub("?", whole) if self._strange else whole

    def _check_text(self) -> None:
        """Raises VocabularyError when code does not survive, or a pattern is far from linear: a search that tried ten
        million times gives up, after half a second."""
        for run in _RUNS:
            self.encode(run * _RUN_LENGTH)
        if not b"".join(map(self.token_bytes, self.encode(_CODE))).endswith(_CODE.encode()):
            raise VocabularyError("its tokenizer changes the text")

    def reads_as_family(self, order: FimOrder) -> bool:
        """Whether a coder with this tokenizer that fills holes in this order was taught so by its family."""
        return self.fim.fills and order == self.family.order

    def ends(self, order: FimOrder) -> frozenset[int]:
        """Ids that end a text: no control token goes on with one, whatever else it means to its family."""
        return self.control_ids if self.reads_as_family(order) else self.fim.stops

    def never(self, vocab_size: int) -> np.ndarray:
        """Ids that greedy decoding must not choose: control tokens that do not end the middle, and the rows with
        which checkpoints round up their embedding table (papers 2.2: a forged slot token breaks the prompt)."""
        banned = np.ones(vocab_size, dtype=bool)
        banned[list(self.tokenizer.get_vocab(with_added_tokens=True).values())] = False
        banned[list(self.control_ids)] = True
        banned[list(self.fim.stops)] = False
        return np.flatnonzero(banned)

    def not_beginning(self, begin: str, vocab_size: int) -> np.ndarray:
        """Whether the text of each id does not begin with `begin`, bool [vocab_size]."""
        wanted, mask = begin.encode(), np.ones(vocab_size, dtype=bool)
        texts, ids = self._sorted_texts
        own = slice(
            *(at(texts, wanted, key=lambda text: text[: len(wanted)]) for at in (bisect_left, bisect_right))
        )
        mask[ids[own]] = False
        return mask

    @cached_property
    def _sorted_texts(self) -> tuple[list[bytes], np.ndarray]:
        """Bytes of all tokens in order, and their ids: made when a prompt's last token is first written again."""
        texts = [b""] * (self._largest + 1)
        for token, i in self.tokenizer.get_vocab(with_added_tokens=True).items():
            texts[i] = b"" if i in self.control_ids else _bytes_of(token)
        ids = sorted(range(len(texts)), key=texts.__getitem__)
        return [texts[i] for i in ids], np.array(ids)


def _bytes_of(token: str) -> bytes:
    return token.translate(_LATIN_OF).encode("latin-1")


class TextStream:
    """Token ids to text as they come; a character is held back until all its bytes are there."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="ignore")
        self.text = ""

    def push(self, token_id: int) -> str:
        """Add a token and return the text so far."""
        self.text += self._decoder.decode(self._vocabulary.token_bytes(token_id))
        return self.text


@contextmanager
def _panics_as_errors() -> Iterator[None]:
    """Rust's panics are no Exceptions, and would end the thread; their text may hold what was to be encoded."""
    try:
        yield
    except BaseException as problem:
        if type(problem).__name__ != "PanicException":
            raise
        raise VocabularyError("its tokenizer has a pattern that gives up on some text") from None


def _added(raw: dict[str, Any]) -> dict[str, int]:
    tokens = raw.get("added_tokens") or []
    if not isinstance(tokens, list) or not all(isinstance(token, dict) for token in tokens):
        raise VocabularyError("its added tokens are no list of tokens")
    pairs = [(token.get("content"), token.get("id")) for token in tokens]
    if not all(
        isinstance(content, str) and type(token_id) is int and token_id >= 0 for content, token_id in pairs
    ):
        raise VocabularyError("its added tokens are not texts with ids")
    if (
        len(set(pairs)) < len(pairs)
        or len(dict(pairs)) < len(pairs)
        or len({i for _, i in pairs}) < len(pairs)
    ):
        raise VocabularyError("its added tokens are not all different")
    return dict(pairs)


def _missing_bytes(tokens: Set[str]) -> frozenset[int]:
    """The bytes that are no token. Raises VocabularyError where texts have one of them, or a token is not of bytes.

    Code of 600 GB, which SmolLM's tokenizer was trained on, has neither all control characters nor any of the planes
    behind the second; some bytes UTF-8 never has.
    """
    missing = frozenset(byte for character, byte in _BYTE_OF.items() if character not in tokens)
    if not set("".join(tokens)) <= _BYTE_OF.keys() or not missing <= _RARE:
        raise VocabularyError("its tokenizer is not byte-level BPE")
    return missing


def _strange_characters(missing: frozenset[int]) -> re.Pattern[str] | None:
    """Every character with one of these bytes in its UTF-8; None where there is none."""
    control = [chr(byte) for byte in missing if byte < 0x80]
    planes = [(byte - 0xF0) << 18 for byte in missing if 0xF0 < byte < 0xF5]
    ranges = [f"{chr(first)}-{chr(min(first + (1 << 18), 0x110000) - 1)}" for first in planes]
    return re.compile(f"[{''.join(control + ranges)}]") if control or ranges else None


def _byte_alphabet() -> Iterator[tuple[str, int]]:
    """GPT-2's printable stand-ins for the 256 bytes: visible Latin-1 stands for itself, the rest follows at 256."""
    visible = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    n_hidden = 0
    for byte in range(256):
        if byte in visible:
            yield chr(byte), byte
        else:
            yield chr(256 + n_hidden), byte
            n_hidden += 1


_BYTE_OF = dict(_byte_alphabet())
_LATIN_OF = {
    ord(character): chr(byte) for character, byte in _BYTE_OF.items()
}  # a byte as the character of its number
# Bytes that text can do without: control characters other than tab and line ends, what UTF-8 never has, and the first
# bytes of characters from U+40000 on, which are unassigned or private.
_RARE = frozenset(range(0x20)) - set(b"\t\n\r\f") | {0x7F, 0xC0, 0xC1, *range(0xF1, 0x100)}
